package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
)

var eventTests = map[string]func(suite){
	"EventsAreListedNewestFirst": func(s suite) {
		bare := watchword.Event{
			ID:     "bare",
			Kind:   watchword.EventDisabled,
			At:     afterStart(-time.Hour),
			UserID: User(1).ID,
			Times:  1,
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, newEvent(User(1).ID, 1)), tx.InsertEvent(ctx, bare),
				tx.InsertEvent(ctx, newEvent(User(1).ID, 3)), tx.InsertEvent(ctx, newEvent(User(2).ID, 2)))
		})
		all := []watchword.Event{newEvent(User(1).ID, 3), newEvent(User(1).ID, 1), bare}
		wantEqual(s, "events", s.readEvents(User(1).ID, 10), all)
		wantEqual(s, "the newest two", s.readEvents(User(1).ID, 2), all[:2])
		wantEqual(s, "events of nobody", s.readEvents(User(9).ID, 10), nil)
	},

	"TheLastEventOfAKindIsFound": func(s suite) {
		kind := newEvent("", 1).Kind
		newer, other := newEvent("", 4), newEvent("", 5)
		other.Kind = watchword.EventRestoreDetected
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, newEvent("", 1)), tx.InsertEvent(ctx, newer), tx.InsertEvent(ctx, newEvent("", 3)),
				tx.InsertEvent(ctx, other), tx.InsertEvent(ctx, newEvent(User(1).ID, 6)))
		})
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			last, err := tx.LastEvent(ctx, "", kind)
			wantEqual(s, "the last event without an account", last, newer)
			_, none := tx.LastEvent(ctx, User(1).ID, other.Kind)
			s.wantNotFound("an event that does not exist", none)
			return err
		})
	},

	"EventsAreFoundByRequest": func(s suite) {
		other, without := newEvent(User(2).ID, 2), newEvent(User(3).ID, 3)
		other.RequestID, without.RequestID = "r-2", ""
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, newEvent(User(1).ID, 1)), tx.InsertEvent(ctx, other), tx.InsertEvent(ctx, without),
				tx.InsertEvent(ctx, newEvent(User(2).ID, 4)))
		})
		for request, want := range map[string][]watchword.Event{
			"r-1": {newEvent(User(2).ID, 4), newEvent(User(1).ID, 1)}, "r-2": {other}, "": nil, "r": nil,
		} {
			s.mustView(func(ctx context.Context, tx watchword.Tx) error {
				found, err := tx.RequestEvents(ctx, request, 10)
				wantEqual(s, "events of "+request, found, want)
				return err
			})
		}
	},

	// MEM-1
	"EventsWithOneIDAreCountedInOneRow": func(s suite) {
		first := newEvent(User(1).ID, 1)
		const parallel, each = 8, 5
		counts := s.contender(
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
		later.At, later.Address, later.Device, later.RequestID = afterStart(time.Minute), "2001:db8::7",
			"Safari on iPhone",
			"r-2"
		earlier.At, earlier.RequestID = afterStart(-time.Hour), "r-3"
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(tx.InsertEvent(ctx, later), tx.InsertEvent(ctx, earlier))
		})
		want := earlier
		want.At, want.Times = later.At, parallel*each+2
		wantEqual(s, "events", s.readEvents(User(1).ID, 10), []watchword.Event{want})
	},
}

var keyTests = map[string]func(suite){
	"KeysAreListedByUseAndAge": func(s suite) {
		old, young, refresh := newKey(watchword.KeySign, 1), newKey(watchword.KeySign, 2),
			newKey(watchword.KeyRefresh, 1)
		old.DropAt = afterStart(time.Hour)
		for _, k := range []watchword.Key{young, refresh, old} {
			s.wantUpdate(true, "insert", insertKey(k))
		}
		wantEqual(s, "keys", s.readKeys(), []watchword.Key{refresh, old, young})
	},

	"KeyNumberIsUniqueWithinItsUse": func(s suite) {
		k := newKey(watchword.KeyRefresh, 1)
		duplicate := k
		duplicate.ID = "another"
		s.wantUpdate(true, "insert", insertKey(k))
		s.wantUpdate(false, "insert its duplicate", insertKey(duplicate))
		s.wantUpdate(true, "insert one of another use", insertKey(newKey(watchword.KeySign, 1)))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteKey(ctx, k.ID) })
		s.wantUpdate(true, "insert its duplicate when it is gone", insertKey(duplicate))
		wantEqual(s, "keys", s.readKeys(), []watchword.Key{duplicate, newKey(watchword.KeySign, 1)})
	},

	"SealedKeyIsReplacedUnderHoldKey": func(s suite) {
		k, other := newKey(watchword.KeyMail, 1), newKey(watchword.KeyMail, 2)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.HoldKey(ctx, watchword.KeyMail)
			s.wantNotFound("hold a key that is not there", err)
			return nil
		})
		s.wantUpdate(true, "insert", insertKey(k))
		s.wantUpdate(true, "insert another", insertKey(other))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			held, err := tx.HoldKey(ctx, watchword.KeyMail)
			wantEqual(s, "held", held, k)
			s.wantNotFound("seal a key that is not there", tx.SetSealedKey(ctx, "nothing", []byte{1}))
			k.Sealed = []byte{9, 0}
			return errors.Join(err, tx.SetSealedKey(ctx, k.ID, k.Sealed))
		})
		wantEqual(s, "keys", s.readKeys(), []watchword.Key{k, other})
	},

	"SetKeyTimesChangesOneKey": func(s suite) {
		k, other := newKey(watchword.KeySign, 1), newKey(watchword.KeySign, 2)
		s.wantUpdate(true, "insert", insertKey(k))
		s.wantUpdate(true, "insert another", insertKey(other))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			s.wantNotFound("a key that is not there", tx.SetKeyTimes(ctx, "nothing", Start, Start))
			return tx.SetKeyTimes(ctx, k.ID, afterStart(-time.Hour), afterStart(time.Hour))
		})
		k.ActiveFrom, k.DropAt = afterStart(-time.Hour), afterStart(time.Hour)
		wantEqual(s, "keys", s.readKeys(), []watchword.Key{k, other})
	},
}

// newEvent returns an event with n as its number. Events with a higher n happened later.
func newEvent(id watchword.UserID, n int) watchword.Event {
	return watchword.Event{
		ID:     fixedUUID("0004", n),
		Kind:   watchword.EventLogin,
		At:     afterStart(time.Duration(n) * time.Second),
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

func (s suite) readEvents(id watchword.UserID, limit int) (all []watchword.Event) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Events(ctx, id, limit)
		return err
	})
	return all
}

// newKey returns a key with the number n. Keys with a higher n begin to sign later.
func newKey(use watchword.KeyUse, n int) watchword.Key {
	return watchword.Key{
		ID: string(use) + fixedUUID("0005", n), Use: use, Alg: "ES256", Number: n,
		Sealed:      []byte{0, 1, 2, 0xff, byte(n)},
		PublishedAt: Start, ActiveFrom: afterStart(time.Duration(n) * time.Hour),
	}
}

func insertKey(k watchword.Key) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.InsertKey(ctx, k) }
}

func (s suite) readKeys() (all []watchword.Key) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Keys(ctx)
		return err
	})
	return all
}
