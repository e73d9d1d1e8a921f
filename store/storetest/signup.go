package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
)

const waitingAddress = watchword.Address("waiting@example.com")

var signupTests = map[string]func(suite){
	"SignupIsReadAsInserted": func(s suite) {
		one := s.addSignup(waitingAddress, 1)
		s.addSignup("other@example.com", 2)
		wantEqual(s, "sign-ups", s.readSignups(waitingAddress, Start), []watchword.Signup{one})
		wantEqual(s, "created no later", s.readSignups(waitingAddress, one.CreatedAt), nil)
		wantEqual(
			s,
			"created later by a millisecond",
			s.readSignups(waitingAddress, one.CreatedAt.Add(-time.Millisecond)),
			[]watchword.Signup{one},
		)
	},

	"SixthSignupReplacesTheOldest": func(s suite) {
		var all []watchword.Signup
		for n := range 8 {
			all = append([]watchword.Signup{s.addSignup(waitingAddress, n)}, all...)
		}
		wantEqual(s, "the newest five, the newest first", s.readSignups(waitingAddress, Start.Add(-time.Hour)), all[:5])
		s.wantUpdate(true, "take one", takeSignup(waitingAddress, all[2].ID))
		newest := s.addSignup(waitingAddress, 9)
		wantEqual(s, "the free slot is used first", s.readSignups(waitingAddress, Start.Add(-time.Hour)),
			[]watchword.Signup{newest, all[0], all[1], all[3], all[4]})
	},

	"ConcurrentSignupsStayWithinFivePerAddress": func(s suite) {
		var wg sync.WaitGroup
		for n := range 24 {
			wg.Go(func() { s.addSignup(waitingAddress, n) })
		}
		wg.Wait()
		if got := s.readSignups(waitingAddress, Start.Add(-time.Hour)); len(got) == 0 || len(got) > 5 {
			s.Errorf("%d sign-ups", len(got))
		}
	},

	"NextSignupsListsAllInBatches": func(s suite) {
		all := []watchword.Signup{
			s.addSignup("ada@example.com", 2),
			s.addSignup("ada@example.com", 5),
			s.addSignup("bob@example.com", 1),
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			first, err := tx.NextSignups(ctx, watchword.Signup{}, 2)
			wantEqual(s, "first batch", first, all[:2])
			second, err2 := tx.NextSignups(ctx, all[1], 2)
			wantEqual(s, "second batch", second, all[2:])
			third, err3 := tx.NextSignups(ctx, all[2], 2)
			wantEqual(s, "third batch", third, nil)
			all[0].Sealed = []byte{9, 0}
			return errors.Join(err, err2, err3, tx.SetSealedSignup(ctx, all[0].Email, all[0].ID, all[0].Sealed),
				tx.SetSealedSignup(ctx, all[0].Email, "nothing", []byte{1}))
		})
		wantEqual(s, "sealed again", s.readSignups("ada@example.com", Start), []watchword.Signup{all[1], all[0]})
	},

	"SignupIsTakenOnce": func(s suite) {
		one := s.addSignup(waitingAddress, 1)
		s.wantUpdate(false, "of another address", takeSignup("other@example.com", one.ID))
		s.wantUpdate(true, "the first time", takeSignup(waitingAddress, one.ID))
		s.wantUpdate(false, "again", takeSignup(waitingAddress, one.ID))
	},

	"SignupsAreDeletedByAddressAndWithTheUser": func(s suite) {
		u := s.addUser(1)
		s.addSignup(waitingAddress, 1)
		s.addSignup(u.Email, 2)
		kept := s.addSignup("other@example.com", 3)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteSignups(ctx, waitingAddress) })
		s.wantUpdate(
			true,
			"delete the user",
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.DeleteUser(ctx, u.ID) },
		)
		for _, email := range []watchword.Address{waitingAddress, u.Email} {
			wantEqual(s, string(email), s.readSignups(email, Start), nil)
		}
		wantEqual(s, "of another address", s.readSignups(kept.Email, Start), []watchword.Signup{kept})
	},

	"SignupsAreSweptByAge": func(s suite) {
		s.addSignup(waitingAddress, 1)
		kept := s.addSignup(waitingAddress, 2)
		s.wantSwept(watchword.SweepSignups, kept.CreatedAt, 1)
		wantEqual(s, "left", s.readSignups(waitingAddress, Start), []watchword.Signup{kept})
	},

	"ProveFirstSucceedsOnce": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantUpdate(true, "insert", insertUser(u, Start))
		proven := u
		proven.VerifiedAt, proven.PasswordHash, proven.Name = afterStart(time.Minute), "another hash", "The owner"
		proven.Locale = "fr"
		moved := proven
		moved.Email = "other@example.com"
		s.wantUpdate(false, "of another address", proveFirst(moved))
		wantEqual(s, "user", s.readUser(u.ID), u)
		s.wantUpdate(true, "of the address", proveFirst(proven))
		wantEqual(s, "user after", s.readUser(u.ID), proven)
		again := proven
		again.PasswordHash = "a third hash"
		s.wantUpdate(false, "again", proveFirst(again))
		wantEqual(s, "user at last", s.readUser(u.ID), proven)
	},

	"ProveFirstRefusesDisabledAccount": func(s suite) {
		u := User(1)
		u.VerifiedAt, u.DisabledAt = time.Time{}, Start
		s.wantUpdate(true, "insert", insertUser(u, Start))
		u.VerifiedAt = afterStart(time.Minute)
		s.wantUpdate(false, "disabled", proveFirst(u))
	},

	"ConcurrentProveFirstSucceedsOnce": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantUpdate(true, "insert", insertUser(u, Start))
		held := make([]bool, 12)
		var wg sync.WaitGroup
		for i := range held {
			wg.Go(func() {
				mine := u
				mine.VerifiedAt, mine.PasswordHash = afterStart(time.Minute), watchword.Secret(fmt.Sprint("hash ", i))
				held[i] = s.tryUpdate(proveFirst(mine))
			})
		}
		wg.Wait()
		won := 0
		for i, did := range held {
			if did {
				won++
				wantEqual(s, "the winner's hash", s.readUser(u.ID).PasswordHash,
					watchword.Secret(fmt.Sprint("hash ", i)))
			}
		}
		wantEqual(s, "winners", won, 1)
	},

	"SentTokensAreFoundAndDeletedByAddress": func(s suite) {
		m := newResetToken(1)
		m.Kind, m.UserID, m.SignupID = watchword.MailVerify, "", "a sign-up"
		other := newResetToken(2)
		other.Kind = watchword.MailVerify
		reset := newResetToken(3)
		reset.Email = m.Email
		for _, token := range []watchword.MailToken{m, other, reset} {
			s.addMailToken(token)
		}
		works := func(kind watchword.MailKind, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.SentTokenWorks(ctx, m.Email, kind, now)
			}
		}
		s.wantUpdate(true, "before it expires", works(watchword.MailVerify, m.ExpiresAt.Add(-time.Millisecond)))
		s.wantUpdate(false, "expired", works(watchword.MailVerify, m.ExpiresAt))
		s.wantUpdate(false, "of another kind", works(watchword.MailConfirmAddress, Start))
		wantEqual(s, "tokens", s.existingMailTokens(m, other, reset), []watchword.MailToken{m, other, reset})
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteSentTokens(ctx, m.Email, watchword.MailVerify)
		})
		wantEqual(s, "tokens left", s.existingMailTokens(m, other, reset), []watchword.MailToken{other, reset})
	},

	"LastMailTokenReturnsTheLatestExpiry": func(s suite) {
		last := func(now time.Time) (expires time.Time) {
			s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
				expires, err = tx.LastMailToken(ctx, User(1).ID, watchword.MailReset, now)
				return err
			})
			return expires
		}
		wantEqual(s, "without a token", last(Start), time.Time{})
		for n := range 3 {
			m := newResetToken(n)
			m.UserID, m.ExpiresAt = User(1).ID, afterStart(time.Duration(n+1)*time.Hour)
			s.addMailToken(m)
		}
		wantEqual(s, "the last", last(afterStart(150*time.Minute)), afterStart(3*time.Hour))
		wantEqual(s, "when all have expired", last(afterStart(3*time.Hour)), time.Time{})
	},
}

// addSignup inserts a sign-up. Sign-ups with a higher n are created later.
func (s suite) addSignup(email watchword.Address, n int) watchword.Signup {
	s.Helper()
	one := watchword.Signup{
		ID:        fixedUUID("0009", n),
		Email:     email,
		CreatedAt: afterStart(time.Duration(n+1) * time.Second),
		Sealed:    []byte{1, 0, byte(n), 255},
	}
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertSignup(ctx, one) })
	return one
}

func (s suite) readSignups(email watchword.Address, since time.Time) (all []watchword.Signup) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
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
