// Package keyschedule decides what each key of a kind does now, and what is to
// be done about keys, from their times alone: processes that share a store agree
// without talking.
//
// A key is published, signs from ActiveFrom on until a younger one does, and is
// kept until nothing that it signed can be alive. There is always a next key
// published, so that an operator can rotate at once.
//
// The package knows no clock, no store and no cryptography.
package keyschedule

import (
	"slices"
	"time"
)

// A Key is the times of one key.
type Key struct {
	PublishedAt time.Time // others may learn of it from here on
	ActiveFrom  time.Time // it signs from here on, until a younger one does
	DropAt      time.Time // nothing that it signed lives beyond; zero: not yet known
}

// A Policy is how keys of a kind are to be changed.
type Policy struct {
	Period   time.Duration // how long a key signs
	Overlap  time.Duration // how long it is published before it signs
	Lifetime time.Duration // the longest life of what it signs, and how long a process may sign on before it learns of Rotate
}

// A State is what a key does at a moment.
type State string

const (
	Next    State = "next"    // published, and does not sign yet
	Active  State = "active"  // signs
	Retired State = "retired" // what it signed is still accepted
)

// ActiveAt returns the index of the key that signs at now: the one that became
// active last. The first key there was signs before its time too, so that a
// clock which was set back leaves nobody without. It is -1 only if there is no
// key.
func ActiveAt(keys []Key, now time.Time) int {
	active, first := -1, -1
	for i, k := range keys {
		if first < 0 || k.ActiveFrom.Before(keys[first].ActiveFrom) {
			first = i
		}
		if !k.ActiveFrom.After(now) && (active < 0 || k.ActiveFrom.After(keys[active].ActiveFrom)) {
			active = i
		}
	}
	if active < 0 {
		return first
	}
	return active
}

// States tells what each key does at now.
func States(keys []Key, now time.Time) []State {
	states := make([]State, len(keys))
	active := ActiveAt(keys, now)
	for i, k := range keys {
		switch {
		case i == active:
			states[i] = Active
		case k.ActiveFrom.After(keys[active].ActiveFrom):
			states[i] = Next
		default:
			states[i] = Retired
		}
	}
	return states
}

// A Plan is what is to be done at a moment. Carrying it out twice changes nothing
// more.
type Plan struct {
	Publish *Key        // a new key with these times; nil: none is needed
	Change  map[int]Key // keys whose times are to be set, by index
	Drop    []int       // keys that can be deleted, by index
}

// At plans the ordinary course: the first key signs at once; a next one is
// always published; a key that another has succeeded is dropped when all that it
// signed is dead.
func At(keys []Key, now time.Time, p Policy) Plan {
	plan := Plan{Change: map[int]Key{}}
	active := ActiveAt(keys, now)
	if active < 0 {
		plan.Publish = &Key{PublishedAt: now, ActiveFrom: now}
		return plan
	}
	states := States(keys, now)
	if !slices.Contains(states, Next) {
		plan.Publish = &Key{
			PublishedAt: now,
			ActiveFrom:  later(now.Add(p.Overlap), keys[active].ActiveFrom.Add(p.Period)),
		}
	}
	for i, k := range keys {
		if states[i] != Retired {
			continue
		}
		drop := successor(keys, k).Add(p.Lifetime)
		switch {
		case k.DropAt.IsZero():
			k.DropAt = drop
			plan.Change[i] = k
		case !now.Before(later(drop, k.DropAt)):
			plan.Drop = append(plan.Drop, i)
		}
	}
	return plan
}

// successor is when a key after k became active. Of several that become active at
// one moment one signs, and the others have been succeeded as they began.
func successor(keys []Key, k Key) time.Time {
	at := k.ActiveFrom
	for _, other := range keys {
		if other.ActiveFrom.After(k.ActiveFrom) && (at.Equal(k.ActiveFrom) || other.ActiveFrom.Before(at)) {
			at = other.ActiveFrom
		}
	}
	return at
}

// Rotate plans a change out of turn: the next key becomes active as soon as it
// has been published for long enough. What At plans follows from it.
func Rotate(keys []Key, now time.Time, p Policy) Plan {
	plan := Plan{Change: map[int]Key{}}
	next := -1
	for i, state := range States(keys, now) {
		if state == Next && (next < 0 || keys[i].ActiveFrom.Before(keys[next].ActiveFrom)) {
			next = i
		}
	}
	switch {
	case next >= 0:
		k := keys[next]
		k.ActiveFrom = later(now, k.PublishedAt.Add(p.Overlap))
		plan.Change[next] = k
	case len(keys) > 0:
		plan.Publish = &Key{PublishedAt: now, ActiveFrom: now.Add(p.Overlap)}
	default:
		plan.Publish = &Key{PublishedAt: now, ActiveFrom: now}
	}
	return plan
}

// FreeNumber chooses a number from 1 to 255 for a new key, the first after the
// newest that is not in use, so that a number comes back as late as possible.
func FreeNumber(used []int, newest int) (int, bool) {
	for step := range 255 {
		number := (newest+step)%255 + 1
		if !slices.Contains(used, number) {
			return number, true
		}
	}
	return 0, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
