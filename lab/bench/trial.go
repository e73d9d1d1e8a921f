package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A trial measures one target in one round. It starts the server on an empty database.
type trial struct {
	plan     Plan
	target   target
	program  builtServer
	at       serverPlace
	process  *serverProcess
	database *database

	sessions      []*session
	mu            sync.Mutex
	spareSessions []*session // created by the scenarios; the scenario logout ends them
	usersCreated  int
}

// Figures are the measurements of one load. Times are in milliseconds.
type Figures struct {
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	CPU       float64 `json:"cpuPer1000"` // server's processor seconds per 1,000 operations; 0 if unknown
	Count     int     `json:"count"`
	Refused   int     `json:"refused"` // number of responses with 429 or 503
}

// A Round contains the measurements of one trial. ReadyFirst and ReadyAgain are in milliseconds, memory is in MiB.
type Round struct {
	Figures    map[string]Figures `json:"figures"`
	ReadyFirst float64            `json:"readyFirst"` // time to ready with an empty database
	ReadyAgain float64            `json:"readyAgain"` // time to ready at the second start
	Idle       float64            `json:"memoryIdle"` // memory shortly after the second start
	Loaded     float64            `json:"memoryLoaded"`
	Peak       float64            `json:"memoryPeak"`
}

// run runs the trial: it starts the server, checks its settings, creates accounts, starts the server again, and runs
// the scenarios.
func (t *trial) run(ctx context.Context, progress func(string)) (r Round, err error) {
	progress("start")
	if r.ReadyFirst, err = t.start(ctx); err != nil {
		return r, err
	}
	defer func() { t.process.stop() }()
	progress("create accounts and check that they are durable")
	if err := t.createSessions(ctx); err != nil {
		return r, err
	}
	// The second start measures the time to ready that operators see at a deployment. It also frees the memory that
	// was used to create the accounts.
	t.process.stop()
	if r.ReadyAgain, err = t.start(ctx); err != nil {
		return r, err
	}
	// Wait, because servers still allocate memory shortly after they are ready.
	select {
	case <-ctx.Done():
	case <-time.After(300 * time.Millisecond):
	}
	now, _, err := t.process.residentBytes()
	r.Idle = mebibytes(now)
	r.Figures = map[string]Figures{}
	for _, s := range scenarios {
		if err != nil || ctx.Err() != nil {
			return r, errors.Join(err, ctx.Err())
		}
		if !t.plan.runs(s.name) || s.hashesPasswords && t.target.kind.withoutPasswords {
			continue
		}
		progress(s.name)
		if err = s.run(ctx, t, r.Figures); err != nil {
			return r, fmt.Errorf("scenario %s: %w\n%s", s.name, err, t.process.logTail())
		}
	}
	if err := t.checkPool(ctx); err != nil {
		return r, err
	}
	now, peak, err := t.process.residentBytes()
	r.Loaded, r.Peak = mebibytes(now), mebibytes(peak)
	return r, err
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// start starts the server and returns the time until it was ready, in milliseconds.
func (t *trial) start(ctx context.Context) (readyMillis float64, err error) {
	argv, env := t.program.arguments(t.at)
	argv = slices.Concat(t.program.argv, argv)
	if t.plan.Cores > 0 {
		// taskset replaces itself with the server, so the process id is that of the server.
		argv = append([]string{"taskset", "--cpu-list", fmt.Sprintf("0-%d", t.plan.Cores-1)}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...) // not CommandContext, because stop ends the process
	cmd.Dir = t.at.dataDir
	cmd.Env = slices.Concat(os.Environ(), t.program.env, env, t.target.environment)
	began := time.Now()
	if t.process, err = startProcess(cmd, filepath.Join(t.at.dataDir, "server.log")); err != nil {
		return 0, err
	}
	if err = t.process.waitReady(ctx, t.at.address, t.target.kind.readyPath); err != nil {
		t.process.stop()
		return 0, err
	}
	readyMillis = millis(time.Since(began))
	if err := t.checkSettings(ctx); err != nil {
		t.process.stop()
		return 0, err
	}
	return readyMillis, nil
}

func millis(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e3 }

func (t *trial) newUser() user {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.usersCreated++
	return user{email: "user" + strconv.Itoa(t.usersCreated) + "@example.com", password: acceptablePassword}
}

// createSessions signs up one user for each connection. Meanwhile it checks that the server, or its PostgreSQL
// process, waits for the disk.
func (t *trial) createSessions(ctx context.Context) error {
	t.sessions = make([]*session, t.plan.Connections)
	if t.target.kind.withoutPasswords {
		for i := range t.sessions {
			t.sessions[i] = &session{}
		}
		return nil
	}
	watch := t.watchSyncs(ctx)
	defer watch.stop()
	conns := make([]rawConn, min(len(t.sessions), t.plan.Logins))
	// Only a few connections sign up at the same time. Hashing passwords limits the rate, so more connections would
	// not be faster.
	l := load{connections: len(conns), duration: time.Hour, maxOperations: len(t.sessions)}
	l.operation = func(ctx context.Context, connection, n int) (err error) {
		for {
			t.sessions[n], err = t.signUp(ctx, &conns[connection], clientAddress(n))
			if !errors.Is(err, errRefused) {
				return err
			}
			sleepUntil(ctx, time.Now().Add(refusedPause)) // try again, because the scenarios need this session
		}
	}
	defer t.assignConns(conns)()
	_, err := l.run(ctx)
	last := rawConn{address: t.at.address} // a new connection, because the context of the others has ended
	defer last.close()
	for n := 0; (err == nil || errors.Is(err, errRefused)) && n < moreSignUps && !watch.sawSync.Load(); n++ {
		_, err = t.signUp(ctx, &last, clientAddress(n))
	}
	if err != nil && !errors.Is(err, errRefused) {
		return fmt.Errorf("create accounts: %w\n%s", err, t.process.logTail())
	}
	return watch.err()
}

// moreSignUps is the maximum number of additional sign-ups in createSessions. They continue until createSessions has
// observed that the server waits for the disk. One sign-up may not suffice, because its commit is too short to be
// observed reliably.
const moreSignUps = 200

// assignConns sets the address of the connections, which open at their first request. closeAll closes all of them.
func (t *trial) assignConns(conns []rawConn) (closeAll func()) {
	for i := range conns {
		conns[i].address = t.at.address
	}
	return func() {
		for i := range conns {
			conns[i].close()
		}
	}
}

// measureLoad runs a load and returns its figures. Each connection of the load has its own network connection.
func (t *trial) measureLoad(ctx context.Context, l load,
	call func(ctx context.Context, c *rawConn, connection, n int) error) (f Figures, err error) {
	conns := make([]rawConn, l.connections)
	defer t.assignConns(conns)()
	l.operation = func(ctx context.Context, connection, n int) error {
		err := call(ctx, &conns[connection], connection, n)
		if errors.Is(err, errRefused) {
			sleepUntil(ctx, time.Now().Add(refusedPause))
		}
		return err
	}
	// Connections open at their first request, so the time of this request includes the connection setup. Real
	// clients measure the same.
	before, err := t.process.cpuTime()
	if err != nil {
		return f, err
	}
	got, err := l.run(ctx)
	if err != nil {
		return f, err
	}
	after, err := t.process.cpuTime()
	if got.Count() > 0 {
		f.CPU = (after - before).Seconds() / float64(got.Count()) * 1000
	}
	f.PerSecond, f.Count, f.Refused = got.perSecond(), got.Count(), got.refused
	f.P50, f.P99 = millis(got.Percentile(50)), millis(got.Percentile(99))
	return f, err
}

// refusedPause is how long a connection waits after a refusal. It is shorter than the Retry-After that real clients
// obey.
const refusedPause = 250 * time.Millisecond

// sendChecked returns an error if the response is not a success.
func (t *trial) sendChecked(ctx context.Context, c *rawConn, r request, client string) (response, error) {
	if address := t.addressOf(r); c.address != address {
		c.close()
		c.address = address
	}
	got, err := c.exchange(ctx, r, client)
	switch {
	case err != nil:
		return got, err
	case got.status == 429 || got.status == 503: // a server that protects itself has not failed
		return got, errRefused
	case got.status >= 300:
		return got, fmt.Errorf("%s %s: status %d: %.300s", r.method, r.path, got.status, got.body)
	}
	return got, nil
}

func (t *trial) addressOf(r request) string {
	if r.toAdminListener {
		return net.JoinHostPort("127.0.0.1", t.at.adminPort)
	}
	return t.at.address
}

// startFlow sends the request that some targets require before a sign-up or login. It stores the id in the response
// as u.flow.
func (t *trial) startFlow(ctx context.Context, c *rawConn, u *user, path, client string) error {
	if path == "" {
		return nil
	}
	got, err := t.sendChecked(ctx, c, request{method: "GET", path: path}, client)
	u.flow = findField(got.body, "id")
	return err
}

// signUp creates an account and signs in. If the response to the sign-up contains no tokens, it sends a second
// request.
func (t *trial) signUp(ctx context.Context, c *rawConn, client string) (*session, error) {
	s := &session{user: t.newUser()}
	if err := t.startFlow(ctx, c, &s.user, t.target.kind.api.signUpFlow, client); err != nil {
		return nil, err
	}
	got, err := t.sendChecked(ctx, c, t.target.kind.api.signUp(s.user), client)
	if err != nil {
		return nil, err
	}
	if !t.target.kind.api.signUpSignsIn {
		return t.login(ctx, c, s.user, client)
	}
	return s, t.target.kind.api.adoptTokens(s, got)
}

func (t *trial) login(ctx context.Context, c *rawConn, u user, client string) (*session, error) {
	s := &session{user: u}
	if err := t.startFlow(ctx, c, &s.user, t.target.kind.api.loginFlow, client); err != nil {
		return nil, err
	}
	got, err := t.sendChecked(ctx, c, t.target.kind.api.login(s.user), client)
	if err != nil {
		return nil, err
	}
	return s, t.target.kind.api.adoptTokens(s, got)
}

func (t *trial) refresh(ctx context.Context, c *rawConn, s *session, client string) error {
	got, err := t.sendChecked(ctx, c, t.target.kind.api.refresh(s), client)
	if err != nil {
		return err
	}
	return t.target.kind.api.adoptTokens(s, got)
}

func (t *trial) keepSession(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spareSessions = append(t.spareSessions, s)
}

// clientAddress gives each connection its own address for X-Forwarded-For.
func clientAddress(n int) string { return "10.1." + strconv.Itoa(n>>8&255) + "." + strconv.Itoa(n&255) }
