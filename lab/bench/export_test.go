package bench

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// ErrRefused is errRefused. An operation of RunLoad returns it if the server refused the operation.
var ErrRefused = errRefused

// A LoadResult is the outcome of RunLoad.
type LoadResult struct {
	Histogram
	Refused   int
	PerSecond float64
}

// RunLoad runs an operation on several connections. If rate is 0, it runs them in a closed loop.
func RunLoad(ctx context.Context, connections int, rate float64, duration time.Duration,
	operation func(ctx context.Context, connection, n int) error) (LoadResult, error) {
	got, err := load{connections: connections, duration: duration, perSecond: rate, operation: operation}.run(ctx)
	return LoadResult{got.Histogram, got.refused, got.perSecond()}, err
}

// A Conn is a connection to one address.
type Conn struct{ rawConn }

// NewConn returns a connection that opens at its first request.
func NewConn(address string) *Conn { return &Conn{rawConn{address: address}} }

// Do sends a request with a bearer token.
func (c *Conn) Do(ctx context.Context, method, path, body, client string) (status int, cookie, answer string,
	err error) {
	got, err := c.exchange(ctx, request{method: method, path: path, body: body, authorization: "Bearer t"}, client)
	return got.status, string(got.setCookie), string(got.body), err
}

// Open reports whether the connection is open.
func (c *Conn) Open() bool { return c.net != nil }

var (
	Field    = findField
	CPUTicks = cpuTicks
)

// ParseTarget returns the parts of a target's spec.
func ParseTarget(spec string) (revision string, settings, env []string, err error) {
	t, err := parseTarget(spec)
	return t.revision, t.serverFlags, t.environment, err
}

// Combine returns the medians of rounds, and the medians of their ratios to base.
func Combine(rounds, base []Round) (median, ratio Round) {
	return medianRound(rounds, nil), medianRound(rounds, base)
}

// PrepareDatabase creates the database of the target with this spec.
func PrepareDatabase(ctx context.Context, cluster *pgtest.Server, name, spec string) error {
	t, err := parseTarget(spec)
	if err != nil {
		return err
	}
	_, err = newDatabase(ctx, cluster, name, t.kind.setupSQL)
	return err
}
