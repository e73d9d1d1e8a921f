package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
)

var events = map[string]func(suite){
	"EventsAreListedNewestFirst": func(s suite) {
		bare := watchword.Event{
			ID:     "bare",
			Kind:   watchword.EventDisabled,
			At:     after(-time.Hour),
			UserID: User(1).ID,
			Times:  1,
		}
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, eventOf(User(1).ID, 1)), tx.InsertEvent(ctx, bare),
				tx.InsertEvent(ctx, eventOf(User(1).ID, 3)), tx.InsertEvent(ctx, eventOf(User(2).ID, 2)))
		})
		all := []watchword.Event{eventOf(User(1).ID, 3), eventOf(User(1).ID, 1), bare}
		same(s, "events", s.events(User(1).ID, 10), all)
		same(s, "the newest two", s.events(User(1).ID, 2), all[:2])
		same(s, "events of nobody", s.events(User(9).ID, 10), nil)
	},

	"TheLastEventOfAKindIsFound": func(s suite) {
		kind := eventOf("", 1).Kind
		newer, other := eventOf("", 4), eventOf("", 5)
		other.Kind = watchword.EventRestoreDetected
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, eventOf("", 1)), tx.InsertEvent(ctx, newer), tx.InsertEvent(ctx, eventOf("", 3)),
				tx.InsertEvent(ctx, other), tx.InsertEvent(ctx, eventOf(User(1).ID, 6)))
		})
		s.view(func(ctx context.Context, tx watchword.Tx) error {
			last, err := tx.LastEvent(ctx, "", kind)
			same(s, "the last event without an account", last, newer)
			_, none := tx.LastEvent(ctx, User(1).ID, other.Kind)
			s.wantNotFound("an event that does not exist", none)
			return err
		})
	},

	"EventsAreFoundByRequest": func(s suite) {
		other, without := eventOf(User(2).ID, 2), eventOf(User(3).ID, 3)
		other.RequestID, without.RequestID = "r-2", ""
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, eventOf(User(1).ID, 1)), tx.InsertEvent(ctx, other), tx.InsertEvent(ctx, without),
				tx.InsertEvent(ctx, eventOf(User(2).ID, 4)))
		})
		for request, want := range map[string][]watchword.Event{
			"r-1": {eventOf(User(2).ID, 4), eventOf(User(1).ID, 1)}, "r-2": {other}, "": nil, "r": nil,
		} {
			s.view(func(ctx context.Context, tx watchword.Tx) error {
				found, err := tx.RequestEvents(ctx, request, 10)
				same(s, "events of "+request, found, want)
				return err
			})
		}
	},

	// MEM-1
	"EventsWithOneIDAreCountedInOneRow": func(s suite) {
		first := eventOf(User(1).ID, 1)
		const parallel, each = 8, 5
		counts := s.wins(
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return true, tx.InsertEvent(ctx, first) })
		var all []func() bool
		for range parallel {
			all = append(all, func() bool {
				won := true
				for range each {
					won = counts() && won
				}
				return won
			})
		}
		s.wantWinners(parallel, all...)
		later, earlier := first, first
		later.At, later.Address, later.Device, later.RequestID = after(time.Minute), "2001:db8::7", "Safari on iPhone",
			"r-2"
		earlier.At, earlier.RequestID = after(-time.Hour), "r-3"
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(tx.InsertEvent(ctx, later), tx.InsertEvent(ctx, earlier))
		})
		want := earlier
		want.At, want.Times = later.At, parallel*each+2
		same(s, "events", s.events(User(1).ID, 10), []watchword.Event{want})
	},
}

var keys = map[string]func(suite){
	"KeysAreListedByUseAndAge": func(s suite) {
		old, young, refresh := keyOf(watchword.KeySign, 1), keyOf(watchword.KeySign, 2), keyOf(watchword.KeyRefresh, 1)
		old.DropAt = after(time.Hour)
		for _, k := range []watchword.Key{young, refresh, old} {
			s.wantHeld(true, "insert", insertKey(k))
		}
		same(s, "keys", s.keys(), []watchword.Key{refresh, old, young})
	},

	"KeyNumberIsUniqueWithinItsUse": func(s suite) {
		k := keyOf(watchword.KeyRefresh, 1)
		duplicate := k
		duplicate.ID = "another"
		s.wantHeld(true, "insert", insertKey(k))
		s.wantHeld(false, "insert its duplicate", insertKey(duplicate))
		s.wantHeld(true, "insert one of another use", insertKey(keyOf(watchword.KeySign, 1)))
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteKey(ctx, k.ID) })
		s.wantHeld(true, "insert its duplicate when it is gone", insertKey(duplicate))
		same(s, "keys", s.keys(), []watchword.Key{duplicate, keyOf(watchword.KeySign, 1)})
	},

	"SealedKeyIsReplacedUnderHoldKey": func(s suite) {
		k, other := keyOf(watchword.KeyMail, 1), keyOf(watchword.KeyMail, 2)
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.HoldKey(ctx, watchword.KeyMail)
			s.wantNotFound("hold a key that is not there", err)
			return nil
		})
		s.wantHeld(true, "insert", insertKey(k))
		s.wantHeld(true, "insert another", insertKey(other))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			held, err := tx.HoldKey(ctx, watchword.KeyMail)
			same(s, "held", held, k)
			s.wantNotFound("seal a key that is not there", tx.SetSealedKey(ctx, "nothing", []byte{1}))
			k.Sealed = []byte{9, 0}
			return errors.Join(err, tx.SetSealedKey(ctx, k.ID, k.Sealed))
		})
		same(s, "keys", s.keys(), []watchword.Key{k, other})
	},

	"SetKeyTimesChangesOneKey": func(s suite) {
		k, other := keyOf(watchword.KeySign, 1), keyOf(watchword.KeySign, 2)
		s.wantHeld(true, "insert", insertKey(k))
		s.wantHeld(true, "insert another", insertKey(other))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			s.wantNotFound("a key that is not there", tx.SetKeyTimes(ctx, "nothing", Start, Start))
			return tx.SetKeyTimes(ctx, k.ID, after(-time.Hour), after(time.Hour))
		})
		k.ActiveFrom, k.DropAt = after(-time.Hour), after(time.Hour)
		same(s, "keys", s.keys(), []watchword.Key{k, other})
	},
}

// eventOf returns event number n of the user. The times of events ascend with n.
func eventOf(id watchword.UserID, n int) watchword.Event {
	return watchword.Event{
		ID:     uuidOf("0004", n),
		Kind:   watchword.EventLogin,
		At:     after(time.Duration(n) * time.Second),
		UserID: id,
		SessionID: Session(
			id,
			n,
		).ID,
		Address:   "203.0.113.7",
		Device:    "Firefox on Linux",
		RequestID: "r-1",
		Detail:    "why",
		Operator:  "grace",
		Times:     1,
	}
}

func (s suite) events(id watchword.UserID, limit int) (all []watchword.Event) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Events(ctx, id, limit)
		return err
	})
	return all
}

// keyOf returns key number n of a use. The times of keys ascend with n.
func keyOf(use watchword.KeyUse, n int) watchword.Key {
	return watchword.Key{
		ID: string(use) + uuidOf("0005", n), Use: use, Alg: "ES256", Number: n, Sealed: []byte{0, 1, 2, 0xff, byte(n)},
		PublishedAt: Start, ActiveFrom: after(time.Duration(n) * time.Hour),
	}
}

func insertKey(k watchword.Key) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.InsertKey(ctx, k) }
}

func (s suite) keys() (all []watchword.Key) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Keys(ctx)
		return err
	})
	return all
}
