package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
)

const waitingFor = watchword.Address("waiting@example.com")

var signups = map[string]func(suite){
	"SignupIsReadAsInserted": func(s suite) {
		one := s.addSignup(waitingFor, 1)
		s.addSignup("other@example.com", 2)
		same(s, "sign-ups", s.signups(waitingFor, Start), []watchword.Signup{one})
		same(s, "created no later", s.signups(waitingFor, one.CreatedAt), nil)
		same(
			s,
			"created later by a millisecond",
			s.signups(waitingFor, one.CreatedAt.Add(-time.Millisecond)),
			[]watchword.Signup{one},
		)
	},

	"SixthSignupReplacesTheOldest": func(s suite) {
		var all []watchword.Signup
		for n := range 8 {
			all = append([]watchword.Signup{s.addSignup(waitingFor, n)}, all...)
		}
		same(s, "the newest five, the newest first", s.signups(waitingFor, Start.Add(-time.Hour)), all[:5])
		s.wantHeld(true, "take one", takeSignup(waitingFor, all[2].ID))
		newest := s.addSignup(waitingFor, 9)
		same(s, "the free slot is used first", s.signups(waitingFor, Start.Add(-time.Hour)),
			[]watchword.Signup{newest, all[0], all[1], all[3], all[4]})
	},

	"ConcurrentSignupsStayWithinFivePerAddress": func(s suite) {
		var wg sync.WaitGroup
		for n := range 24 {
			wg.Go(func() { s.addSignup(waitingFor, n) })
		}
		wg.Wait()
		if got := s.signups(waitingFor, Start.Add(-time.Hour)); len(got) == 0 || len(got) > 5 {
			s.Errorf("%d sign-ups", len(got))
		}
	},

	"NextSignupsListsAllInBatches": func(s suite) {
		all := []watchword.Signup{
			s.addSignup("ada@example.com", 2),
			s.addSignup("ada@example.com", 5),
			s.addSignup("bob@example.com", 1),
		}
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			first, err := tx.NextSignups(ctx, watchword.Signup{}, 2)
			same(s, "first batch", first, all[:2])
			second, err2 := tx.NextSignups(ctx, all[1], 2)
			same(s, "second batch", second, all[2:])
			third, err3 := tx.NextSignups(ctx, all[2], 2)
			same(s, "third batch", third, nil)
			all[0].Sealed = []byte{9, 0}
			return errors.Join(err, err2, err3, tx.SetSealedSignup(ctx, all[0].Email, all[0].ID, all[0].Sealed),
				tx.SetSealedSignup(ctx, all[0].Email, "nothing", []byte{1}))
		})
		same(s, "sealed again", s.signups("ada@example.com", Start), []watchword.Signup{all[1], all[0]})
	},

	"SignupIsTakenOnce": func(s suite) {
		one := s.addSignup(waitingFor, 1)
		s.wantHeld(false, "of another address", takeSignup("other@example.com", one.ID))
		s.wantHeld(true, "the first time", takeSignup(waitingFor, one.ID))
		s.wantHeld(false, "again", takeSignup(waitingFor, one.ID))
	},

	"SignupsAreDeletedByAddressAndWithTheUser": func(s suite) {
		u := s.addUser(1)
		s.addSignup(waitingFor, 1)
		s.addSignup(u.Email, 2)
		kept := s.addSignup("other@example.com", 3)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteSignups(ctx, waitingFor) })
		s.wantHeld(
			true,
			"delete the user",
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.DeleteUser(ctx, u.ID) },
		)
		for _, email := range []watchword.Address{waitingFor, u.Email} {
			same(s, string(email), s.signups(email, Start), nil)
		}
		same(s, "of another address", s.signups(kept.Email, Start), []watchword.Signup{kept})
	},

	"SignupsAreSweptByAge": func(s suite) {
		s.addSignup(waitingFor, 1)
		kept := s.addSignup(waitingFor, 2)
		s.wantSwept(watchword.SweepSignups, kept.CreatedAt, 1)
		same(s, "left", s.signups(waitingFor, Start), []watchword.Signup{kept})
	},

	"ProveFirstSucceedsOnce": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantHeld(true, "insert", insertUser(u, Start))
		proven := u
		proven.VerifiedAt, proven.PasswordHash, proven.Name = after(time.Minute), "another hash", "The owner"
		proven.Locale = "fr"
		moved := proven
		moved.Email = "other@example.com"
		s.wantHeld(false, "of another address", proveFirst(moved))
		same(s, "user", s.user(u.ID), u)
		s.wantHeld(true, "of the address", proveFirst(proven))
		same(s, "user after", s.user(u.ID), proven)
		again := proven
		again.PasswordHash = "a third hash"
		s.wantHeld(false, "again", proveFirst(again))
		same(s, "user at last", s.user(u.ID), proven)
	},

	"ProveFirstRefusesDisabledAccount": func(s suite) {
		u := User(1)
		u.VerifiedAt, u.DisabledAt = time.Time{}, Start
		s.wantHeld(true, "insert", insertUser(u, Start))
		u.VerifiedAt = after(time.Minute)
		s.wantHeld(false, "disabled", proveFirst(u))
	},

	"ConcurrentProveFirstSucceedsOnce": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantHeld(true, "insert", insertUser(u, Start))
		held := make([]bool, 12)
		var wg sync.WaitGroup
		for i := range held {
			wg.Go(func() {
				mine := u
				mine.VerifiedAt, mine.PasswordHash = after(time.Minute), watchword.Secret(fmt.Sprint("hash ", i))
				held[i] = s.settled(proveFirst(mine))
			})
		}
		wg.Wait()
		won := 0
		for i, did := range held {
			if did {
				won++
				same(s, "the winner's hash", s.user(u.ID).PasswordHash, watchword.Secret(fmt.Sprint("hash ", i)))
			}
		}
		same(s, "winners", won, 1)
	},

	"SentTokensAreFoundAndDeletedByAddress": func(s suite) {
		m := mailTokenOf(1)
		m.Kind, m.UserID, m.SignupID = watchword.MailVerify, "", "a sign-up"
		other := mailTokenOf(2)
		other.Kind = watchword.MailVerify
		reset := mailTokenOf(3)
		reset.Email = m.Email
		for _, token := range []watchword.MailToken{m, other, reset} {
			s.addMailToken(token)
		}
		works := func(kind watchword.MailKind, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.SentTokenWorks(ctx, m.Email, kind, now)
			}
		}
		s.wantHeld(true, "before it expires", works(watchword.MailVerify, m.ExpiresAt.Add(-time.Millisecond)))
		s.wantHeld(false, "expired", works(watchword.MailVerify, m.ExpiresAt))
		s.wantHeld(false, "of another kind", works(watchword.MailConfirmAddress, Start))
		same(s, "tokens", s.mailTokens(m, other, reset), []watchword.MailToken{m, other, reset})
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteSentTokens(ctx, m.Email, watchword.MailVerify)
		})
		same(s, "tokens left", s.mailTokens(m, other, reset), []watchword.MailToken{other, reset})
	},

	"LastMailTokenReturnsTheLatestExpiry": func(s suite) {
		last := func(now time.Time) (expires time.Time) {
			s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
				expires, err = tx.LastMailToken(ctx, User(1).ID, watchword.MailReset, now)
				return err
			})
			return expires
		}
		same(s, "without a token", last(Start), time.Time{})
		for n := range 3 {
			m := mailTokenOf(n)
			m.UserID, m.ExpiresAt = User(1).ID, after(time.Duration(n+1)*time.Hour)
			s.addMailToken(m)
		}
		same(s, "the last", last(after(150*time.Minute)), after(3*time.Hour))
		same(s, "when all have expired", last(after(3*time.Hour)), time.Time{})
	},
}

// addSignup inserts sign-up number n of an address. The times of sign-ups ascend with n.
func (s suite) addSignup(email watchword.Address, n int) watchword.Signup {
	s.Helper()
	one := watchword.Signup{
		ID:        uuidOf("0009", n),
		Email:     email,
		CreatedAt: after(time.Duration(n+1) * time.Second),
		Sealed:    []byte{1, 0, byte(n), 255},
	}
	s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertSignup(ctx, one) })
	return one
}

func (s suite) signups(email watchword.Address, since time.Time) (all []watchword.Signup) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Signups(ctx, email, since)
		return err
	})
	return all
}

func takeSignup(email watchword.Address, id string) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.TakeSignup(ctx, email, id) }
}

func proveFirst(u watchword.User) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.ProveFirst(ctx, u) }
}
