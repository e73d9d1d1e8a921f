package keyschedule_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword/internal/keyschedule"
)

var (
	start  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	policy = keyschedule.Policy{Period: 90 * 24 * time.Hour, Overlap: 10 * time.Minute, Lifetime: time.Hour}
)

type plannedKeys []keyschedule.Key

func (r *plannedKeys) carryOut(p keyschedule.Plan) {
	for i, k := range p.Change {
		(*r)[i] = k
	}
	drop := slices.Sorted(slices.Values(p.Drop))
	for _, i := range slices.Backward(drop) {
		*r = slices.Delete(*r, i, i+1)
	}
	if p.Publish != nil {
		*r = append(*r, *p.Publish)
	}
}

func (r *plannedKeys) at(now time.Time) {
	for range 3 {
		r.carryOut(keyschedule.At(*r, now, policy))
	}
}

func states(r plannedKeys, now time.Time) (s []keyschedule.State) { return keyschedule.States(r, now) }

// KEY-2
func TestKeyIsNextThenActiveThenRetiredThenDropped(t *testing.T) {
	t.Parallel()
	const next, active, retired = keyschedule.Next, keyschedule.Active, keyschedule.Retired
	var r plannedKeys
	for _, step := range []struct {
		at   time.Duration
		want []keyschedule.State
	}{
		{0, []keyschedule.State{active, next}},
		{policy.Period - time.Second, []keyschedule.State{active, next}},
		{policy.Period, []keyschedule.State{retired, active, next}},
		{policy.Period + policy.Lifetime - time.Second, []keyschedule.State{retired, active, next}},
		{policy.Period + policy.Lifetime, []keyschedule.State{active, next}},
	} {
		now := start.Add(step.at)
		r.at(now)
		if got := states(r, now); !slices.Equal(got, step.want) {
			t.Errorf("after %s: %v, want %v", step.at, got, step.want)
		}
	}
}

func TestRotateWaitsUntilTheNextKeyWasPublishedForTheOverlap(t *testing.T) {
	t.Parallel()
	var r plannedKeys
	r.at(start)
	now := start.Add(policy.Overlap - time.Minute)
	r.carryOut(keyschedule.Rotate(r, now, policy))
	if r[1].ActiveFrom != start.Add(policy.Overlap) {
		t.Errorf("a key published for 9 minutes signs from %s", r[1].ActiveFrom)
	}
	now = now.Add(time.Hour)
	r.at(now)
	r.at(now.Add(policy.Overlap))
	before := keyschedule.ActiveAt(r, now.Add(time.Hour))
	r.carryOut(keyschedule.Rotate(r, now.Add(time.Hour), policy))
	if after := keyschedule.ActiveAt(r, now.Add(time.Hour)); after == before {
		t.Error("a key published long ago did not sign at once")
	}
}

func TestFreeNumberReusesNumbersAsLateAsPossible(t *testing.T) {
	t.Parallel()
	all := make([]int, 255)
	for i := range all {
		all[i] = i + 1
	}
	for _, c := range []struct {
		used   []int
		newest int
		want   int
		ok     bool
	}{
		{nil, 0, 1, true}, {[]int{1}, 1, 2, true}, {[]int{254, 255}, 255, 1, true},
		{[]int{1, 255}, 255, 2, true}, {all, 3, 0, false}, {all[:254], 254, 255, true},
	} {
		if got, ok := keyschedule.FreeNumber(c.used, c.newest); got != c.want || ok != c.ok {
			t.Errorf("%v after %d: %d, %v", c.used, c.newest, got, ok)
		}
	}
}

func TestNextNumberFollowsTheNewestKeyAndReusesDroppedNumbers(t *testing.T) {
	t.Parallel()
	key := func(number, published int) keyschedule.Key {
		return keyschedule.Key{Number: number, PublishedAt: start.Add(time.Duration(published) * time.Hour)}
	}
	full := []keyschedule.Key{}
	for number := range 255 {
		full = append(full, key(number+1, number))
	}
	for name, c := range map[string]struct {
		keys    []keyschedule.Key
		dropped []int
		want    int
		ok      bool
	}{
		"no key":                     {nil, nil, 1, true},
		"the newest is not the last": {[]keyschedule.Key{key(7, 2), key(3, 1)}, nil, 8, true},
		"the newest is dropped":      {[]keyschedule.Key{key(7, 2), key(3, 1)}, []int{0}, 8, true},
		"every number is in use":     {full, nil, 0, false},
		"one number becomes free":    {full, []int{41}, 42, true},
	} {
		if got, ok := keyschedule.NextNumber(c.keys, c.dropped); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
	}
}

// The clock moves at random, and several processes apply plans any number of times. Exactly one key must sign, and
// only after it was published for the overlap. A key must not be dropped until everything that it signed has expired.
func TestKeysAreDroppedOnlyAfterTheirTokensExpire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r plannedKeys
		now := start
		r.at(now)
		first := r[0]
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "for")))
			},
			"the clock is set back": func(t *rapid.T) {
				now = now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "by")))
			},
			"a process looks": func(*rapid.T) { r.carryOut(keyschedule.At(r, now, policy)) },
			"two processes look": func(*rapid.T) {
				plan := keyschedule.At(r, now, policy)
				r.carryOut(plan)
				again := keyschedule.Plan{Change: plan.Change}
				if len(plan.Drop) == 0 {
					r.carryOut(again)
				}
			},
			"an operator rotates": func(*rapid.T) { r.carryOut(keyschedule.Rotate(r, now, policy)) },
			"": func(t *rapid.T) {
				active := 0
				for _, s := range states(r, now) {
					if s == keyschedule.Active {
						active++
					}
				}
				if active != 1 {
					t.Fatalf("%d keys sign", active)
				}
				for _, k := range r {
					if k != first && k.ActiveFrom.Before(k.PublishedAt.Add(policy.Overlap)) &&
						!k.PublishedAt.Equal(first.PublishedAt) {
						t.Fatalf("%+v signs before verifiers could read it", k)
					}
				}
				plan := keyschedule.At(r, now, policy)
				for _, i := range plan.Drop {
					if s := states(r, now)[i]; s != keyschedule.Retired {
						t.Fatalf("a key that is %s would be dropped", s)
					}
					succeeded := slices.ContainsFunc(r, func(k keyschedule.Key) bool {
						return k.ActiveFrom.After(r[i].ActiveFrom) && !now.Before(k.ActiveFrom.Add(policy.Lifetime))
					})
					if !succeeded {
						t.Fatal("a key would be dropped whose tokens may still be valid")
					}
				}
			},
		})
	})
}
