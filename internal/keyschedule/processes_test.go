package keyschedule_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword/internal/keyschedule"
)

const rereadInterval = 5 * time.Second

// A keyRow has a unique id and a unique number.
type keyRow struct {
	keyschedule.Key
	id, number int
}

// A keyStore applies each plan as a transaction.
type keyStore struct {
	rows []keyRow
	made int
}

// A process sees the store as it was at its last read.
type process struct {
	seenRows []keyRow
	readAt   time.Time
}

// An issuedToken needs its key until the token expires.
type issuedToken struct {
	key       int
	expiresAt time.Time
}

func times(rows []keyRow) []keyschedule.Key {
	keys := make([]keyschedule.Key, len(rows))
	for i, r := range rows {
		keys[i] = r.Key
	}
	return keys
}

func (s *keyStore) indexOf(id int) int {
	return slices.IndexFunc(s.rows, func(r keyRow) bool { return r.id == id })
}

// applyPlan applies a plan completely or not at all. The plan was computed from seenRows.
func (s *keyStore) applyPlan(seenRows []keyRow, plan keyschedule.Plan) {
	rows := slices.Clone(s.rows)
	for i, k := range plan.Change {
		at := s.indexOf(seenRows[i].id)
		if at < 0 {
			return // another process has dropped the key
		}
		rows[at].Key = k
	}
	rows = slices.DeleteFunc(rows, func(r keyRow) bool {
		return slices.ContainsFunc(plan.Drop, func(i int) bool { return seenRows[i].id == r.id })
	})
	if plan.Publish != nil {
		used, newest := []int{}, 0
		var published time.Time
		for _, r := range seenRows {
			if used = append(used, r.number); r.PublishedAt.After(published) {
				published, newest = r.PublishedAt, r.number
			}
		}
		number, _ := keyschedule.FreeNumber(used, newest)
		if !slices.ContainsFunc(rows, func(r keyRow) bool { return r.number == number }) {
			s.made++
			rows = append(rows, keyRow{*plan.Publish, s.made, number})
		}
	}
	s.rows = rows
}

func (p *process) read(s *keyStore, now time.Time) { p.seenRows, p.readAt = slices.Clone(s.rows), now }

// planAndReread computes a plan from the rows of the last read and applies it. The process then reads the store
// again.
func (p *process) planAndReread(s *keyStore, now time.Time) {
	s.applyPlan(p.seenRows, keyschedule.At(times(p.seenRows), now, policy))
	p.read(s, now)
}

// Several processes share one store and act in any order. A token must not outlive the key that signed it, and a key
// must not sign before verifiers could read it.
func TestNoTokenOutlivesItsKeyWithSeveralProcesses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, processes := &keyStore{}, make([]process, 3)
		now := start
		for i := range processes { // all processes read an empty store
			processes[i].read(s, now)
		}
		for i := range processes {
			processes[i].planAndReread(s, now)
		}
		if len(s.rows) != 1 {
			t.Fatalf("%d first keys", len(s.rows))
		}
		var tokens []issuedToken
		one := func(t *rapid.T) *process { return &processes[rapid.IntRange(0, 2).Draw(t, "process")] }
		sign := func(t *rapid.T, p *process) {
			k := p.seenRows[keyschedule.ActiveAt(times(p.seenRows), now)]
			if k.id != 1 && now.Before(k.PublishedAt.Add(policy.Overlap)) {
				t.Fatalf("key %d signs before verifiers could read it", k.id)
			}
			tokens = append(tokens, issuedToken{k.id, now.Add(policy.Lifetime - rereadInterval)})
		}
		pass := func(d time.Duration) {
			now = now.Add(d)
			for i := range processes {
				if now.Sub(processes[i].readAt) >= rereadInterval {
					processes[i].read(s, now)
					processes[i].planAndReread(s, now)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"seconds pass": func(
				t *rapid.T) {
				pass(time.Duration(rapid.Int64Range(0, int64(rereadInterval)).Draw(t, "for")))
			},
			"an hour passes": func(t *rapid.T) {
				pass(time.Duration(rapid.Int64Range(0, int64(2*policy.Lifetime)).Draw(t, "for")))
			},
			"months pass": func(
				t *rapid.T) {
				pass(time.Duration(rapid.Int64Range(0, int64(policy.Period)).Draw(t, "for")))
			},
			"a key's time comes": func(*rapid.T) {
				next := now.Add(policy.Period)
				for _, r := range s.rows {
					for _, at := range []time.Time{r.ActiveFrom, r.DropAt} {
						if at.After(now) && at.Before(next) {
							next = at
						}
					}
				}
				pass(next.Sub(now))
			},
			"a process signs": func(t *rapid.T) { sign(t, one(t)) },
			"a process acts":  func(t *rapid.T) { one(t).planAndReread(s, now) },
			"an operator rotates": func(t *rapid.T) {
				p := one(t)
				p.read(s, now)
				p.planAndReread(s, now)
				s.applyPlan(p.seenRows, keyschedule.Rotate(times(p.seenRows), now, policy))
				p.read(s, now)
			},
			"": func(t *rapid.T) {
				tokens = slices.DeleteFunc(tokens, func(i issuedToken) bool { return !i.expiresAt.After(now) })
				for _, token := range tokens {
					if s.indexOf(token.key) < 0 {
						t.Fatalf("key %d was dropped, but its token is valid until %s", token.key, token.expiresAt)
					}
				}
			},
		})
	})
}

// If two keys become active at the same time, only one of them signs. The schedule must still keep the other key for
// Policy.Lifetime, because it counts as retired from that time on.
func TestKeysWithTheSameActiveFromAreNotDroppedAtOnce(t *testing.T) {
	t.Parallel()
	from := start.Add(-time.Minute)
	r := plannedKeys{
		{PublishedAt: from.Add(-time.Hour), ActiveFrom: from}, {PublishedAt: from.Add(-time.Hour), ActiveFrom: from}}
	r.at(start)
	if want := []keyschedule.State{
		keyschedule.Active, keyschedule.Retired, keyschedule.Next}; !slices.Equal(states(r, start), want) {
		t.Fatalf("%v", states(r, start))
	}
	if keep := from.Add(policy.Lifetime); r[1].DropAt.Before(keep) {
		t.Errorf("the other is dropped at %s, before %s", r[1].DropAt, keep)
	}
}

func TestRotateActivatesTheEarliestOfSeveralNextKeys(t *testing.T) {
	t.Parallel()
	old := start.Add(-policy.Period)
	for _, hours := range [][2]time.Duration{{1, 2}, {2, 1}} { // in either order
		r := plannedKeys{{PublishedAt: old, ActiveFrom: old}}
		for _, h := range hours {
			r = append(r, keyschedule.Key{PublishedAt: old, ActiveFrom: start.Add(h * time.Hour)})
		}
		r.carryOut(keyschedule.Rotate(r, start, policy))
		if active := keyschedule.ActiveAt(r, start); hours[active-1] != 1 {
			t.Errorf("%v: key %d signs", hours, active)
		}
	}
}
