// Package scale measures the cost of a refresh-token rotation with many sessions. It creates and fills databases,
// calls watchword.Store.Rotate, and drops the databases.
//
// It fills the tables with SQL, because the engine would need hours. Its output is the tables of lab/scale/README.md.
package scale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Plan describes a measurement.
type Plan struct {
	Store       string        // URL of a PostgreSQL server, postgres://…, or sqlite:DIRECTORY
	Sessions    []int         // number of sessions of each database; ratios refer to the first
	FillFactors []int         // PostgreSQL only; for each value, one database per size; empty: as in the migrations
	Clients     int           // concurrent clients
	For         time.Duration // duration of each measurement in a round: all clients, all clients again, one client
	Rounds      int           // the results are medians of this many rounds
	Limits      Limits
	Seed        uint64 // selects the sessions to rotate
}

// Limits selects the rate limits that each rotation counts against.
type Limits string

const (
	NoLimits   Limits = "off"
	BothLimits Limits = "on" // the limits of the session and of the client, as in a refresh
)

type filledStore struct {
	sessions, fillFactor int
	database
	currentGenerations []int32 // by session
}

// A Row contains the results for one database, as medians of all rounds.
type Row struct {
	Sessions, FillFactor int
	Phases               [2]Phase // directly after a checkpoint, and later
	P50, P99             time.Duration
	Hot                  float64 // share of HOT updates of sessions, 0 to 1
	Bytes                int64   // size of table and indexes before the measurement
	Growth               float64 // relative growth of this size during the measurement
	p50s, p99s           []time.Duration
}

// A Phase is a measurement with all clients. There are two phases, because PostgreSQL logs a whole page at its first
// change after a checkpoint, and later only the changes.
type Phase struct {
	Rate     float64 // rotations per second
	Ratio    float64 // ratio to the rate of the first row in the same round
	Spread   float64 // rate of the fastest round divided by the rate of the slowest
	LogBytes float64 // bytes of write-ahead log per rotation, in the last round
	rates    []float64
	ratios   []float64
}

// Run fills all databases, measures them in turn, and drops them, even after errors.
// It reports each step to progress.
func Run(ctx context.Context, plan Plan, progress func(string)) (rows []Row, err error) {
	var stores []*filledStore
	defer func() {
		progress("dropping")
		for _, f := range stores {
			err = errors.Join(err, f.removeAll(context.WithoutCancel(ctx)))
		}
	}()
	for _, sessions := range plan.Sessions {
		for _, fillFactor := range plan.fillFactors() {
			f := &filledStore{sessions: sessions, fillFactor: fillFactor, currentGenerations: make([]int32, sessions)}
			stores = append(stores, f)
			if err := f.createAndFill(ctx, plan.Store, progress); err != nil {
				return nil, fmt.Errorf("fill: %w", err)
			}
			bytes, err := f.sizeBytes(ctx)
			if err != nil {
				return nil, err
			}
			rows = append(rows, Row{Sessions: sessions, FillFactor: fillFactor, Bytes: bytes})
		}
	}
	for round := range plan.Rounds + 1 { // the first round only warms up
		for i, f := range stores {
			progress(fmt.Sprintf("round %d of %d: %s", round, plan.Rounds, f))
			if err := f.measureRound(ctx, plan, round, &rows[i]); err != nil {
				return nil, fmt.Errorf("measure %s: %w", f, err)
			}
		}
		for i := range rows {
			for n := range rows[i].Phases {
				p := &rows[i].Phases[n]
				p.ratios = append(p.ratios, p.rates[round]/rows[0].Phases[n].rates[round])
			}
		}
	}
	for i, f := range stores {
		if err := f.summarize(ctx, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (p Plan) fillFactors() []int {
	if len(p.FillFactors) == 0 || !strings.HasPrefix(p.Store, "postgres") {
		return []int{0}
	}
	return p.FillFactors
}

func (f *filledStore) String() string {
	if f.fillFactor == 0 {
		return english.Sprint(f.sessions) + " sessions"
	}
	return fmt.Sprintf("%s sessions, fill factor %d", english.Sprint(f.sessions), f.fillFactor)
}

// measureRound measures all clients directly after a checkpoint, all clients later, and then one client.
func (f *filledStore) measureRound(ctx context.Context, plan Plan, round int, row *Row) error {
	for n, prepare := range []func(context.Context) error{f.checkpoint, f.touchPages} {
		if err := prepare(ctx); err != nil {
			return err
		}
		before, err := f.walBytes(ctx)
		if err != nil {
			return err
		}
		all, err := f.rotateSessions(ctx, plan, plan.Clients, uint64(2*round+n))
		if err != nil {
			return err
		}
		after, err := f.walBytes(ctx)
		if err != nil {
			return err
		}
		row.Phases[n].LogBytes = (after - before) / float64(all.rotations)
		row.Phases[n].rates = append(row.Phases[n].rates, float64(all.rotations)/all.took.Seconds())
	}
	one, err := f.rotateSessions(ctx, plan, 1, uint64(round))
	if err != nil {
		return err
	}
	row.p50s = append(row.p50s, one.percentile(50))
	row.p99s = append(row.p99s, one.percentile(99))
	return nil
}

// summarize computes the medians of all rounds except the first.
func (f *filledStore) summarize(ctx context.Context, row *Row) (err error) {
	for n := range row.Phases {
		p := &row.Phases[n]
		p.Rate, p.Ratio = median(p.rates[1:]), median(p.ratios[1:])
		p.Spread = slices.Max(p.rates[1:]) / slices.Min(p.rates[1:])
	}
	row.P50, row.P99 = median(row.p50s[1:]), median(row.p99s[1:])
	if row.Hot, err = f.hotShare(ctx); err != nil {
		return err
	}
	bytes, err := f.sizeBytes(ctx)
	row.Growth = float64(bytes)/float64(row.Bytes) - 1
	return err
}

func median[T float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// Check returns an error if the plan cannot be measured.
func (p Plan) Check() error {
	switch {
	case !strings.HasPrefix(p.Store, "postgres://") && !strings.HasPrefix(p.Store, "sqlite:"):
		return errors.New("-store must be postgres://… or sqlite:DIRECTORY")
	case p.Limits != NoLimits && p.Limits != BothLimits:
		return errors.New("-limits must be on or off")
	case len(p.Sessions) == 0 || p.Clients < 1 || slices.Min(p.Sessions) < p.Clients:
		return errors.New("each of -sessions must be at least -clients")
	case p.Rounds < 1 || p.For <= 0:
		return errors.New("-rounds and -for must be positive")
	}
	return nil
}
