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

// adminRecords contains the tests of what package admin stores: service keys, results of requests, and lists of all
// accounts.
var adminRecords = map[string]func(suite){
	"ServiceKeyKeepsEveryField": func(s suite) {
		want := serviceKeyOf(1)
		want.LastUsedAt, want.RevokedAt = after(time.Minute), after(time.Hour)
		completeFixture(s, want)
		s.addServiceKey(want)
		same(s, "key", s.serviceKey(want.ID), want)
		s.admin(func(ctx context.Context, tx admin.Tx) error {
			_, err := tx.ServiceKey(ctx, serviceKeyOf(2).ID)
			s.wantNotFound("key", err)
			return nil
		})
	},

	"ServiceKeysAreListedNewestFirst": func(s suite) {
		var all []admin.ServiceKey
		for n := range 4 {
			k := serviceKeyOf(n)
			s.addServiceKey(k)
			all = append(all, k)
		}
		slices.Reverse(all)
		for _, c := range []struct {
			before string
			limit  int
			want   []admin.ServiceKey
		}{{"g", 9, all}, {"g", 2, all[:2]}, {all[1].ID, 9, all[2:]}, {all[3].ID, 9, nil}} {
			s.admin(func(ctx context.Context, tx admin.Tx) error {
				got, err := tx.ServiceKeys(ctx, c.before, c.limit)
				same(s, "keys before "+c.before, got, c.want)
				return err
			})
		}
	},

	"OneOfManyRevocationsOfAServiceKeyWins": func(s suite) {
		k, other := serviceKeyOf(1), serviceKeyOf(2)
		s.addServiceKey(k)
		s.addServiceKey(other)
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return tx.(admin.Tx).RevokeServiceKey(ctx, k.ID, after(time.Minute))
		}), 1)
		same(s, "the time", s.serviceKey(k.ID).RevokedAt, after(time.Minute))
		same(s, "the other key", s.serviceKey(other.ID), other)
		s.wantHeld(false, "an unknown key", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.(admin.Tx).RevokeServiceKey(ctx, serviceKeyOf(3).ID, Start)
		})
	},

	"LastUseOfAServiceKeyOnlyGrows": func(s suite) {
		k := serviceKeyOf(1)
		s.addServiceKey(k)
		for _, c := range []struct{ now, since, want time.Duration }{
			{time.Minute, 0, time.Minute}, {90 * time.Second, 30 * time.Second, time.Minute},
			{2 * time.Minute, time.Minute, 2 * time.Minute},
		} {
			s.update(func(ctx context.Context, tx watchword.Tx) error {
				return tx.(admin.Tx).TouchServiceKey(ctx, k.ID, after(c.now), after(c.since))
			})
			same(s, "the last use", s.serviceKey(k.ID).LastUsedAt, after(c.want))
		}
	},

	"RecordKeepsEveryField": func(s suite) {
		want := recordOf(1)
		want.Status, want.Result = 201, uuidOf("0001", 1)
		completeFixture(s, want)
		s.wantHeld(true, "claim", claimRecord(recordOf(1), Start))
		s.wantHeld(true, "result", finishRecord(want, recordOf(1).ExpiresAt))
		same(s, "record", s.record(want), want)
		s.admin(func(ctx context.Context, tx admin.Tx) error {
			_, err := tx.Record(ctx, want.Owner, "another key")
			s.wantNotFound("key", err)
			_, err = tx.Record(ctx, "another owner", want.Key)
			s.wantNotFound("owner", err)
			return nil
		})
	},

	"OneOfManyRequestsClaimsAKey": func(s suite) {
		claim := claimRecord(recordOf(1), Start)
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claim(ctx, tx)
		}), 1)
		other := recordOf(1)
		other.Owner = "another owner"
		s.wantHeld(true, "of another owner", claimRecord(other, Start))
	},

	"ExpiredRecordIsTakenOverOnce": func(s suite) {
		old := recordOf(1)
		s.wantHeld(true, "claim", claimRecord(old, Start))
		next := old
		next.ExpiresAt = after(48 * time.Hour) // the same request, repeated later
		s.wantHeld(false, "before its end", claimRecord(next, old.ExpiresAt.Add(-time.Millisecond)))
		same(s, "winners", s.inParallel(20, func(ctx context.Context, tx factors.Tx) (bool, error) {
			return claimRecord(next, old.ExpiresAt)(ctx, tx)
		}), 1)
		same(s, "record", s.record(old), next)
		// The first request finishes after its claim has expired. It must not change the record of the second
		// request.
		late := old
		late.Status, late.Result = 500, "late"
		s.wantHeld(false, "late result", finishRecord(late, old.ExpiresAt))
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, old) })
		same(s, "record", s.record(old), next)
	},

	"RecordWithAResultIsKept": func(s suite) {
		done := recordOf(1)
		s.wantHeld(true, "claim", claimRecord(done, Start))
		done.Status, done.Result = 201, "a"
		s.wantHeld(true, "result", finishRecord(done, done.ExpiresAt))
		again := done
		again.Status, again.Result = 409, "b"
		s.wantHeld(false, "another result", finishRecord(again, done.ExpiresAt))
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, done) })
		same(s, "record", s.record(done), done)
		running := recordOf(2)
		s.wantHeld(true, "claim", claimRecord(running, Start))
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).DropRecord(ctx, running) })
		s.wantHeld(true, "claim again", claimRecord(running, Start))
	},

	"EventsAreListedBeforeAPosition": func(s suite) {
		one, two := s.addUser(1), s.addUser(2)
		var all []watchword.Event // newest first
		for n := range 6 {
			e := eventOf([]watchword.UserID{one.ID, two.ID}[n%2], n)
			e.At = after(time.Duration(n/2) * time.Hour) // two events have the same time
			all = append(all, e)
			s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, e) })
		}
		slices.SortFunc(all, func(a, b watchword.Event) int {
			if c := b.At.Compare(a.At); c != 0 {
				return c
			}
			return slices.Compare([]byte(b.ID), []byte(a.ID))
		})
		end := admin.EventPosition{At: after(100 * time.Hour)}
		for i, e := range all {
			s.wantEvents("", time.Time{}, admin.EventPosition{At: e.At, ID: e.ID}, 9, all[i+1:])
		}
		s.wantEvents("", time.Time{}, end, 9, all)
		s.wantEvents("", time.Time{}, end, 3, all[:3])
		s.wantEvents("", after(time.Hour), end, 9, all[:4])
		s.wantEvents("", time.Time{}, admin.EventPosition{At: after(2 * time.Hour)}, 9, all[2:])
		ofOne := slices.DeleteFunc(slices.Clone(all), func(e watchword.Event) bool { return e.UserID != one.ID })
		s.wantEvents(one.ID, time.Time{}, end, 9, ofOne)
		s.wantEvents(one.ID, time.Time{}, admin.EventPosition{At: ofOne[0].At, ID: ofOne[0].ID}, 9, ofOne[1:])
	},

	"SystemEventsAreFoundByKindAndTime": func(s suite) {
		var all []watchword.Event // newest first
		for n := range 4 {
			e := eventOf("", 4-n)
			e.Kind = watchword.EventLogoutAll
			all = append(all, e)
		}
		other, owned := eventOf("", 5), eventOf(User(1).ID, 6)
		owned.Kind = watchword.EventLogoutAll
		s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
			for _, e := range append([]watchword.Event{other, owned}, all...) {
				err = firstError(err, tx.InsertEvent(ctx, e))
			}
			return err
		})
		s.admin(func(ctx context.Context, tx admin.Tx) error {
			found, err := tx.SystemEvents(ctx, watchword.EventLogoutAll, all[2].At, all[1].At, 9)
			same(s, "events of a range", found, all[1:3])
			newest, err2 := tx.SystemEvents(ctx, watchword.EventLogoutAll, all[3].At, owned.At, 1)
			same(s, "the newest event", newest, all[:1])
			return firstError(err, err2)
		})
	},

	"MailsAreListedAfterAPosition": func(s suite) {
		one, two := s.addUser(1), s.addUser(2)
		for n := range 4 {
			m := mailOf([]watchword.User{one, two}[n%2], n)
			s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		}
		all := s.mails()
		slices.SortFunc(all, func(a, b watchword.Mail) int {
			if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
				return c
			}
			return slices.Compare([]byte(a.ID), []byte(b.ID))
		})
		s.admin(func(ctx context.Context, tx admin.Tx) error {
			got, err := tx.MailsAfter(ctx, "", admin.EventPosition{}, 9)
			same(s, "all", got, all)
			rest, err2 := tx.MailsAfter(ctx, "", admin.EventPosition{At: all[1].CreatedAt, ID: all[1].ID}, 1)
			same(s, "the next", rest, all[2:3])
			own, err3 := tx.MailsAfter(ctx, one.ID, admin.EventPosition{}, 9)
			same(s, "of one account", len(own), 2)
			return firstError(err, err2, err3)
		})
	},

	"CountsStopAtTheirLimit": func(s suite) {
		for n := range 5 {
			u := s.addUser(n)
			one := Session(u.ID, n)
			if n == 4 {
				one.EndedAt, one.EndedWhy = after(time.Second), watchword.EndedLogout
			}
			s.addSession(one)
			e := eventOf(u.ID, n)
			e.Kind, e.At, e.Times = watchword.EventLogin, after(time.Duration(n)*30*time.Minute), n+1
			s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, e) })
		}
		alive := Policy().Cutoffs(after(time.Minute))
		for limit, want := range map[int][]int{99: {5, 4}, 3: {3, 3}} {
			s.admin(func(ctx context.Context, tx admin.Tx) error {
				accounts, sessions, err := tx.CountAccounts(ctx, alive, limit)
				same(s, fmt.Sprint("counted up to ", limit), []int{accounts, sessions}, want)
				return err
			})
		}
		hour := Start.UnixMilli() / time.Hour.Milliseconds()
		s.admin(func(ctx context.Context, tx admin.Tx) error {
			got, err := tx.CountEvents(ctx, after(30*time.Minute), 3) // counts only the newest three events
			slices.SortFunc(got, func(a, b admin.KindCount) int { return int(a.Hour - b.Hour) })
			same(s, "events", got, []admin.KindCount{
				{Kind: watchword.EventLogin, Hour: hour + 1, Times: 3 + 4}, {Kind: watchword.EventLogin, Hour: hour + 2, Times: 5}})
			return err
		})
	},
}

func serviceKeyOf(n int) admin.ServiceKey {
	return admin.ServiceKey{ID: uuidOf("000b", n), Name: "billing é", Scopes: []string{"mail", "users:read"},
		CreatedAt: Start, ExpiresAt: after(time.Hour)}
}

func (s suite) addServiceKey(k admin.ServiceKey) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.(admin.Tx).InsertServiceKey(ctx, k) })
}

func (s suite) serviceKey(id string) (k admin.ServiceKey) {
	s.Helper()
	s.admin(func(ctx context.Context, tx admin.Tx) (err error) {
		k, err = tx.ServiceKey(ctx, id)
		return err
	})
	return k
}

// recordOf returns record number n, as stored while its request is running.
func recordOf(n int) admin.Record {
	return admin.Record{Owner: uuidOf("0001", 1), Key: uuidOf("000c", n), Hash: "a request",
		ExpiresAt: after(24 * time.Hour)}
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

func (s suite) record(of admin.Record) (r admin.Record) {
	s.Helper()
	s.admin(func(ctx context.Context, tx admin.Tx) (err error) {
		r, err = tx.Record(ctx, of.Owner, of.Key)
		return err
	})
	return r
}

func (s suite) wantEvents(
	of watchword.UserID, from time.Time, before admin.EventPosition, limit int, want []watchword.Event,
) {
	s.Helper()
	s.admin(func(ctx context.Context, tx admin.Tx) error {
		got, err := tx.EventsBefore(ctx, of, from, before, limit)
		same(s, fmt.Sprintf("events of %q before %v", of, before), got, want)
		return err
	})
}
