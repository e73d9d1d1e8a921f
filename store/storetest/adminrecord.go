package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
)

var adminRecordTests = map[string]func(suite){
	"ServiceKeyKeepsEveryField": func(s suite) {
		want := newServiceKey(1)
		want.LastUsedAt, want.RevokedAt = afterStart(time.Minute), afterStart(time.Hour)
		wantCompleteFixture(s, want)
		s.addServiceKey(want)
		wantEqual(s, "key", s.readServiceKey(want.ID), want)
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			_, err := tx.ServiceKey(ctx, newServiceKey(2).ID)
			s.wantNotFound("key", err)
			return nil
		})
	},

	"ServiceKeysAreListedNewestFirst": func(s suite) {
		var all []admin.ServiceKey
		for n := range 4 {
			k := newServiceKey(n)
			s.addServiceKey(k)
			all = append(all, k)
		}
		slices.Reverse(all)
		for _, c := range []struct {
			before string
			limit  int
			want   []admin.ServiceKey
		}{{"g", 9, all}, {"g", 2, all[:2]}, {all[1].ID, 9, all[2:]}, {all[3].ID, 9, nil}} {
			s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
				got, err := tx.ServiceKeys(ctx, c.before, c.limit)
				wantEqual(s, "keys before "+c.before, got, c.want)
				return err
			})
		}
	},

	"OneOfManyRevocationsOfAServiceKeyWins": func(s suite) {
		k, other := newServiceKey(1), newServiceKey(2)
		s.addServiceKey(k)
		s.addServiceKey(other)
		wantEqual(s, "winners", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.(admin.Tx).RevokeServiceKey(ctx, k.ID, afterStart(time.Minute))
		}), 1)
		wantEqual(s, "the time", s.readServiceKey(k.ID).RevokedAt, afterStart(time.Minute))
		wantEqual(s, "the other key", s.readServiceKey(other.ID), other)
		s.wantUpdate(false, "an unknown key", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.(admin.Tx).RevokeServiceKey(ctx, newServiceKey(3).ID, Start)
		})
	},

	"LastUseOfAServiceKeyOnlyGrows": func(s suite) {
		k := newServiceKey(1)
		s.addServiceKey(k)
		for _, c := range []struct{ now, since, want time.Duration }{
			{time.Minute, 0, time.Minute}, {90 * time.Second, 30 * time.Second, time.Minute},
			{2 * time.Minute, time.Minute, 2 * time.Minute},
		} {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.(admin.Tx).TouchServiceKey(ctx, k.ID, afterStart(c.now), afterStart(c.since))
			})
			wantEqual(s, "the last use", s.readServiceKey(k.ID).LastUsedAt, afterStart(c.want))
		}
	},

	"RecordKeepsEveryField": func(s suite) {
		want := newRecord(1)
		want.Status, want.Result = 201, fixedUUID("0001", 1)
		wantCompleteFixture(s, want)
		s.wantUpdate(true, "claim", claimRecord(newRecord(1), Start))
		s.wantUpdate(true, "result", finishRecord(want, newRecord(1).ExpiresAt))
		wantEqual(s, "record", s.readRecord(want), want)
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			_, err := tx.Record(ctx, want.Owner, "another key")
			s.wantNotFound("key", err)
			_, err = tx.Record(ctx, "another owner", want.Key)
			s.wantNotFound("owner", err)
			return nil
		})
	},

	"OneOfManyRequestsClaimsAKey": func(s suite) {
		claim := claimRecord(newRecord(1), Start)
		wantEqual(s, "winners", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claim(ctx, tx)
		}), 1)
		other := newRecord(1)
		other.Owner = "another owner"
		s.wantUpdate(true, "of another owner", claimRecord(other, Start))
	},

	"ExpiredRecordIsTakenOverOnce": func(s suite) {
		old := newRecord(1)
		s.wantUpdate(true, "claim", claimRecord(old, Start))
		next := old
		next.ExpiresAt = afterStart(48 * time.Hour) // the same request, repeated later
		s.wantUpdate(false, "before its end", claimRecord(next, old.ExpiresAt.Add(-time.Millisecond)))
		wantEqual(s, "winners", s.countSuccesses(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claimRecord(next, old.ExpiresAt)(ctx, tx)
		}), 1)
		wantEqual(s, "record", s.readRecord(old), next)
		// The first request finishes after its claim has expired. It must not change the record of the second
		// request.
		late := old
		late.Status, late.Result = 500, "late"
		s.wantUpdate(false, "late result", finishRecord(late, old.ExpiresAt))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, old) })
		wantEqual(s, "record", s.readRecord(old), next)
	},

	"RecordWithAResultIsKept": func(s suite) {
		done := newRecord(1)
		s.wantUpdate(true, "claim", claimRecord(done, Start))
		done.Status, done.Result = 201, "a"
		s.wantUpdate(true, "result", finishRecord(done, done.ExpiresAt))
		again := done
		again.Status, again.Result = 409, "b"
		s.wantUpdate(false, "another result", finishRecord(again, done.ExpiresAt))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, done) })
		wantEqual(s, "record", s.readRecord(done), done)
		running := newRecord(2)
		s.wantUpdate(true, "claim", claimRecord(running, Start))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, running) })
		s.wantUpdate(true, "claim again", claimRecord(running, Start))
	},

	"EventsAreListedBeforeAPosition": func(s suite) {
		one, two := s.addUser(1), s.addUser(2)
		var all []watchword.Event // newest first
		for n := range 6 {
			e := newEvent([]watchword.UserID{one.ID, two.ID}[n%2], n)
			e.At = afterStart(time.Duration(n/2) * time.Hour) // two events have the same time
			all = append(all, e)
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, e) })
		}
		slices.SortFunc(all, func(a, b watchword.Event) int {
			if c := b.At.Compare(a.At); c != 0 {
				return c
			}
			return slices.Compare([]byte(b.ID), []byte(a.ID))
		})
		end := admin.EventPosition{At: afterStart(100 * time.Hour)}
		for i, e := range all {
			s.wantEvents("", time.Time{}, admin.EventPosition{At: e.At, ID: e.ID}, 9, all[i+1:])
		}
		s.wantEvents("", time.Time{}, end, 9, all)
		s.wantEvents("", time.Time{}, end, 3, all[:3])
		s.wantEvents("", afterStart(time.Hour), end, 9, all[:4])
		s.wantEvents("", time.Time{}, admin.EventPosition{At: afterStart(2 * time.Hour)}, 9, all[2:])
		ofOne := slices.DeleteFunc(slices.Clone(all), func(e watchword.Event) bool { return e.UserID != one.ID })
		s.wantEvents(one.ID, time.Time{}, end, 9, ofOne)
		s.wantEvents(one.ID, time.Time{}, admin.EventPosition{At: ofOne[0].At, ID: ofOne[0].ID}, 9, ofOne[1:])
	},

	"SystemEventsAreFoundByKindAndTime": func(s suite) {
		var all []watchword.Event // newest first
		for n := range 4 {
			e := newEvent("", 4-n)
			e.Kind = watchword.EventLogoutAll
			all = append(all, e)
		}
		other, owned := newEvent("", 5), newEvent(User(1).ID, 6)
		owned.Kind = watchword.EventLogoutAll
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
			for _, e := range append([]watchword.Event{other, owned}, all...) {
				err = firstError(err, tx.InsertEvent(ctx, e))
			}
			return err
		})
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			found, err := tx.SystemEvents(ctx, watchword.EventLogoutAll, all[2].At, all[1].At, 9)
			wantEqual(s, "events of a range", found, all[1:3])
			newest, err2 := tx.SystemEvents(ctx, watchword.EventLogoutAll, all[3].At, owned.At, 1)
			wantEqual(s, "the newest event", newest, all[:1])
			return firstError(err, err2)
		})
	},

	"MailsAreListedAfterAPosition": func(s suite) {
		one, two := s.addUser(1), s.addUser(2)
		for n := range 4 {
			m := newMail([]watchword.User{one, two}[n%2], n)
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		}
		all := s.readMails()
		slices.SortFunc(all, func(a, b watchword.Mail) int {
			if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
				return c
			}
			return slices.Compare([]byte(a.ID), []byte(b.ID))
		})
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			got, err := tx.MailsAfter(ctx, "", admin.EventPosition{}, 9)
			wantEqual(s, "all", got, all)
			rest, err2 := tx.MailsAfter(ctx, "", admin.EventPosition{At: all[1].CreatedAt, ID: all[1].ID}, 1)
			wantEqual(s, "the next", rest, all[2:3])
			own, err3 := tx.MailsAfter(ctx, one.ID, admin.EventPosition{}, 9)
			wantEqual(s, "of one account", len(own), 2)
			return firstError(err, err2, err3)
		})
	},

	"CountsStopAtTheirLimit": func(s suite) {
		for n := range 5 {
			u := s.addUser(n)
			one := Session(u.ID, n)
			if n == 4 {
				one.EndedAt, one.EndedWhy = afterStart(time.Second), watchword.EndedLogout
			}
			s.addSession(one)
			e := newEvent(u.ID, n)
			e.Kind, e.At, e.Times = watchword.EventLogin, afterStart(time.Duration(n)*30*time.Minute), n+1
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, e) })
		}
		alive := Policy().Cutoffs(afterStart(time.Minute))
		for limit, want := range map[int][]int{99: {5, 4}, 3: {3, 3}} {
			s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
				accounts, sessions, err := tx.CountAccounts(ctx, alive, limit)
				wantEqual(s, fmt.Sprint("counted up to ", limit), []int{accounts, sessions}, want)
				return err
			})
		}
		hour := Start.UnixMilli() / time.Hour.Milliseconds()
		s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
			got, err := tx.CountEvents(ctx, afterStart(30*time.Minute), 3) // counts only the newest three events
			slices.SortFunc(got, func(a, b admin.KindCount) int { return int(a.Hour - b.Hour) })
			wantEqual(s, "events", got, []admin.KindCount{
				{Kind: watchword.EventLogin, Hour: hour + 1, Times: 3 + 4}, {Kind: watchword.EventLogin, Hour: hour + 2, Times: 5}})
			return err
		})
	},
}

func newServiceKey(n int) admin.ServiceKey {
	return admin.ServiceKey{ID: fixedUUID("000b", n), Name: "billing é", Scopes: []string{"mail", "users:read"},
		CreatedAt: Start, ExpiresAt: afterStart(time.Hour)}
}

func (s suite) addServiceKey(k admin.ServiceKey) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).InsertServiceKey(ctx, k) })
}

func (s suite) readServiceKey(id string) (k admin.ServiceKey) {
	s.Helper()
	s.viewAdmin(func(ctx context.Context, tx admin.Tx) (err error) {
		k, err = tx.ServiceKey(ctx, id)
		return err
	})
	return k
}

// newRecord returns record number n, as stored while its request is running.
func newRecord(n int) admin.Record {
	return admin.Record{Owner: fixedUUID("0001", 1), Key: fixedUUID("000c", n), Hash: "a request",
		ExpiresAt: afterStart(24 * time.Hour)}
}

func finishRecord(r admin.Record, claimed time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.(admin.Tx).FinishRecord(ctx, r, claimed)
	}
}

func claimRecord(r admin.Record, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.(admin.Tx).ClaimRecord(ctx, r, now)
	}
}

func (s suite) readRecord(of admin.Record) (r admin.Record) {
	s.Helper()
	s.viewAdmin(func(ctx context.Context, tx admin.Tx) (err error) {
		r, err = tx.Record(ctx, of.Owner, of.Key)
		return err
	})
	return r
}

func (s suite) wantEvents(
	of watchword.UserID, from time.Time, before admin.EventPosition, limit int, want []watchword.Event,
) {
	s.Helper()
	s.viewAdmin(func(ctx context.Context, tx admin.Tx) error {
		got, err := tx.EventsBefore(ctx, of, from, before, limit)
		wantEqual(s, fmt.Sprintf("events of %q before %v", of, before), got, want)
		return err
	})
}
