// Package scale measures what a rotation costs when there are many sessions:
// through watchword.Store.Rotate, on databases that it fills and drops again.
//
// It knows the tables, for filling them through the engine would take hours, and
// prints the tables of docs/scale.md.
package scale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Plan is what to measure.
type Plan struct {
	Store       string        // postgres://… of a server, or sqlite:DIRECTORY
	Sessions    []int         // a database of each size; ratios are to the first
	FillFactors []int         // PostgreSQL: a database of each size with each; none: as migrated
	Clients     int           // that rotate at once
	For         time.Duration // each measurement: all clients, all clients again, one alone
	Rounds      int           // medians are taken of so many
	Limits      Limits
	Seed        uint64 // which sessions are rotated
}

// Limits says what a rotation charges besides.
type Limits string

const (
	NoLimits   Limits = "off"
	BothLimits Limits = "on" // a session's and a client's, as a refresh
)

// A field is one filled database.
type field struct {
	sessions, fillFactor int
	database
	generations []int32 // of each session
}

// A Row is what was found of one database: medians.
type Row struct {
	Sessions, FillFactor int
	Phases               [2]Phase // right after a checkpoint, and later
	P50, P99             time.Duration
	Hot                  float64 // share of the updates of sessions
	Bytes                int64   // of table and indexes, before
	Grown                float64 // by, since
	p50s, p99s           []time.Duration
}

// A Phase is what all clients did at once. PostgreSQL writes a page whole when it
// is first changed after a checkpoint; later, only what changed.
type Phase struct {
	Rate   float64 // rotations a second
	Of     float64 // of the first row's rate, in the same round
	Spread float64 // the fastest round by the slowest
	Log    float64 // bytes of write-ahead log of a rotation, in the last round
	rates  []float64
	ofs    []float64
}

// Run fills, measures in turn, and drops. It tells progress what it is doing.
func Run(ctx context.Context, plan Plan, progress func(string)) (rows []Row, err error) {
	var fields []*field
	defer func() {
		progress("dropping")
		for _, f := range fields {
			err = errors.Join(err, f.remove(context.WithoutCancel(ctx)))
		}
	}()
	for _, sessions := range plan.Sessions {
		for _, fillFactor := range plan.fillFactors() {
			f := &field{sessions: sessions, fillFactor: fillFactor, generations: make([]int32, sessions)}
			fields = append(fields, f)
			if err := f.fill(ctx, plan.Store, progress); err != nil {
				return nil, fmt.Errorf("fill: %w", err)
			}
			bytes, err := f.size(ctx)
			if err != nil {
				return nil, err
			}
			rows = append(rows, Row{Sessions: sessions, FillFactor: fillFactor, Bytes: bytes})
		}
	}
	for round := range plan.Rounds + 1 { // the first only warms up
		for i, f := range fields {
			progress(fmt.Sprintf("round %d of %d: %s", round, plan.Rounds, f))
			if err := f.visit(ctx, plan, round, &rows[i]); err != nil {
				return nil, fmt.Errorf("measure %s: %w", f, err)
			}
		}
		for i := range rows {
			for n := range rows[i].Phases {
				p := &rows[i].Phases[n]
				p.ofs = append(p.ofs, p.rates[round]/rows[0].Phases[n].rates[round])
			}
		}
	}
	for i, f := range fields {
		if err := f.finish(ctx, &rows[i]); err != nil {
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

func (f *field) String() string {
	if f.fillFactor == 0 {
		return thousands(f.sessions) + " sessions"
	}
	return fmt.Sprintf("%s sessions, fill factor %d", thousands(f.sessions), f.fillFactor)
}

// visit measures one database once: all clients right after a checkpoint, all
// clients later, and one alone.
func (f *field) visit(ctx context.Context, plan Plan, round int, row *Row) error {
	for n, prepare := range []func(context.Context) error{f.checkpoint, f.touch} {
		if err := prepare(ctx); err != nil {
			return err
		}
		before, err := f.log(ctx)
		if err != nil {
			return err
		}
		all, err := f.load(ctx, plan, plan.Clients, uint64(2*round+n))
		if err != nil {
			return err
		}
		after, err := f.log(ctx)
		if err != nil {
			return err
		}
		row.Phases[n].Log = (after - before) / float64(all.rotations)
		row.Phases[n].rates = append(row.Phases[n].rates, float64(all.rotations)/all.took.Seconds())
	}
	one, err := f.load(ctx, plan, 1, uint64(round))
	if err != nil {
		return err
	}
	row.p50s = append(row.p50s, one.percentile(50))
	row.p99s = append(row.p99s, one.percentile(99))
	return nil
}

// finish takes the medians of the rounds but the first.
func (f *field) finish(ctx context.Context, row *Row) (err error) {
	for n := range row.Phases {
		p := &row.Phases[n]
		p.Rate, p.Of = median(p.rates[1:]), median(p.ofs[1:])
		p.Spread = slices.Max(p.rates[1:]) / slices.Min(p.rates[1:])
	}
	row.P50, row.P99 = median(row.p50s[1:]), median(row.p99s[1:])
	if row.Hot, err = f.hot(ctx); err != nil {
		return err
	}
	bytes, err := f.size(ctx)
	row.Grown = float64(bytes)/float64(row.Bytes) - 1
	return err
}

func median[T float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// Check says what can't be measured.
func (p Plan) Check() error {
	switch {
	case !strings.HasPrefix(p.Store, "postgres://") && !strings.HasPrefix(p.Store, "sqlite:"):
		return errors.New("-store has to be postgres://… or sqlite:DIRECTORY")
	case p.Limits != NoLimits && p.Limits != BothLimits:
		return errors.New("-limits has to be on or off")
	case len(p.Sessions) == 0 || p.Clients < 1 || slices.Min(p.Sessions) < p.Clients:
		return errors.New("-sessions have to be as many as -clients, and more")
	case p.Rounds < 1 || p.For <= 0:
		return errors.New("-rounds and -for have to be above 0")
	}
	return nil
}
