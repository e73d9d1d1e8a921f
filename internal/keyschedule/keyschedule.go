// Package keyschedule decides which key signs now, and when keys are published, changed
// and dropped. It uses only the times of the keys, so processes that share a store agree
// without communicating.
//
// A key is published first. It signs from ActiveFrom until a younger key becomes active.
// It is kept until everything that it signed has expired. A next key is always published,
// so an operator can rotate at once.
//
// The package uses no clock, no store and no cryptography.
package keyschedule

import (
	"slices"
	"time"
)

// A Key holds the times of one key.
type Key struct {
	PublishedAt time.Time // when verifiers can first read the key
	ActiveFrom  time.Time // when the key begins to sign; it signs until a younger key becomes active
	DropAt      time.Time // when all that it signed has expired; zero: not yet known
	Number      int       // only NextNumber uses it
}

// A Policy configures the rotation of keys with the same purpose.
type Policy struct {
	Period   time.Duration // how long a key signs
	Overlap  time.Duration // how long a key is published before it signs
	Lifetime time.Duration // the longest life of a signed token, plus the delay until all processes know of a rotation
}

// A State is the state of a key at a given time.
type State string

const (
	Next    State = "next"    // published; does not sign yet
	Active  State = "active"  // signs
	Retired State = "retired" // does not sign; its tokens are still accepted
)

// ActiveAt returns the index of the key that signs at now: the one that became active last.
// The earliest key also signs before its ActiveFrom, so there is a signing key even after a
// clock was set back. ActiveAt returns -1 only if keys is empty.
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

// States returns the state of each key at now.
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

// A Plan lists changes of the keys. Applying a plan twice has the same effect as applying it
// once.
type Plan struct {
	Publish *Key        // a new key with these times; nil: no new key
	Change  map[int]Key // new times of existing keys, by index
	Drop    []int       // indexes of keys to delete
}

// At plans the regular rotation. The first key signs at once. A next key is always
// published. A retired key is dropped when everything that it signed has expired.
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
		drop := replacedAt(keys, k).Add(p.Lifetime)
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

// replacedAt returns when a younger key replaced the retired key k: the earliest ActiveFrom after that of k. If no
// key has a later ActiveFrom, it returns k.ActiveFrom, because another key became active at the same time and signs
// instead of k.
func replacedAt(keys []Key, k Key) time.Time {
	at := k.ActiveFrom
	for _, other := range keys {
		if other.ActiveFrom.After(k.ActiveFrom) && (at.Equal(k.ActiveFrom) || other.ActiveFrom.Before(at)) {
			at = other.ActiveFrom
		}
	}
	return at
}

// Rotate plans an early rotation: the next key becomes active as soon as it has been published for Policy.Overlap.
// Later plans of At publish another key and drop the old one.
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

// TakeOver extends a plan after a change of the signing algorithm. The function isOurs reports whether a key has the
// new algorithm. TakeOver drops the future keys of the old algorithm. If no key of the new algorithm is in the state
// active or next, TakeOver publishes a new key. This key becomes active after the duration overlap.
func (p Plan) TakeOver(keys []Key, now time.Time, overlap time.Duration, isOurs func(i int) bool) Plan {
	takesOver := false
	for i, state := range States(keys, now) {
		takesOver = takesOver || isOurs(i) && state != Retired
		if state == Next && !isOurs(i) {
			p.Drop = append(p.Drop, i)
		}
	}
	if !takesOver && len(keys) > 0 {
		p.Publish = &Key{PublishedAt: now, ActiveFrom: now.Add(overlap)}
	}
	return p
}

// NextNumber returns the number of a new key. The numbers of the keys at droppedIndexes count as free. NextNumber
// reports false if no number is free.
func NextNumber(keys []Key, droppedIndexes []int) (number int, ok bool) {
	var used []int
	var newest Key
	for i, k := range keys {
		if i == 0 || k.PublishedAt.After(newest.PublishedAt) {
			newest = k
		}
		if !slices.Contains(droppedIndexes, i) {
			used = append(used, k.Number)
		}
	}
	return FreeNumber(used, newest.Number)
}

// FreeNumber returns the number of a new key, from 1 to 255. It is the first unused number after that of the newest
// key, and the numbering restarts at 1 after 255. A number is thus reused as late as possible. FreeNumber reports
// false if all numbers are in use.
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
