package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

var mailTokenTests = map[string]func(suite){
	"MailTokenIsFoundByHashAndKindUntilExpiry": func(s suite) {
		m := s.addMailToken(newResetToken(1))
		find := func(hash string, kind watchword.MailKind, now time.Time) (got watchword.MailToken, err error) {
			err = s.View(s.Context(), func(tx watchword.Tx) error {
				got, err = tx.MailToken(s.Context(), hash, kind, now)
				return err
			})
			return got, err
		}
		got, err := find(m.Hash, m.Kind, m.ExpiresAt.Add(-time.Millisecond))
		if err != nil {
			s.Fatal(err)
		}
		wantEqual(s, "token", got, m)
		_, err = find(m.Hash, m.Kind, m.ExpiresAt)
		s.wantNotFound("expired", err)
		_, err = find(m.Hash, watchword.MailVerify, Start)
		s.wantNotFound("of another kind", err)
		_, err = find("another hash", m.Kind, Start)
		s.wantNotFound("of another hash", err)
	},

	"MailTokenIsTakenOnce": func(s suite) {
		m := s.addMailToken(newResetToken(1))
		s.wantUpdate(false, "as another kind", takeMailToken(m.Hash, watchword.MailVerify, Start))
		s.wantUpdate(false, "expired", takeMailToken(m.Hash, m.Kind, m.ExpiresAt))
		s.wantUpdate(true, "in time", takeMailToken(m.Hash, m.Kind, m.ExpiresAt.Add(-time.Millisecond)))
		s.wantUpdate(false, "again", takeMailToken(m.Hash, m.Kind, Start))
	},

	"InsertMailTokenReplacesTheSameHash": func(s suite) {
		m := s.addMailToken(newResetToken(1))
		m.Kind, m.UserID, m.Email, m.ExpiresAt = watchword.MailVerify, User(2).ID, User(2).Email,
			afterStart(2*time.Hour)
		s.addMailToken(m)
		wantEqual(s, "tokens", s.existingMailTokens(newResetToken(1), m), []watchword.MailToken{m})
	},

	"MailTokensAreListedUntilExpiry": func(s suite) {
		var all []watchword.MailToken
		for n := range 3 {
			m := newResetToken(n)
			m.UserID, m.ExpiresAt = User(1).ID, afterStart(time.Duration(n+1)*time.Hour)
			all = append(all, s.addMailToken(m))
		}
		kind, foreign := newResetToken(3), newResetToken(4)
		kind.UserID, kind.Kind, foreign.UserID = User(1).ID, watchword.MailVerify, User(2).ID
		s.addMailToken(kind)
		s.addMailToken(foreign)
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			got, err := tx.MailTokens(ctx, User(1).ID, all[0].Kind, all[0].ExpiresAt)
			wantEqual(s, "tokens", got, all[1:])
			return err
		})
	},

	"ExtendMailTokenFailsAfterTake": func(s suite) {
		m := s.addMailToken(newResetToken(1))
		extend := func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.ExtendMailToken(ctx, m.Hash, afterStart(9*time.Hour))
		}
		s.wantUpdate(true, "extend", extend)
		m.ExpiresAt = afterStart(9 * time.Hour)
		wantEqual(s, "tokens", s.existingMailTokens(m), []watchword.MailToken{m})
		s.wantUpdate(true, "take", takeMailToken(m.Hash, m.Kind, Start))
		s.wantUpdate(false, "extend what was taken", extend)
		wantEqual(s, "tokens after", s.existingMailTokens(m), nil)
	},

	"MailTokensAreDeletedByUserAndKind": func(s suite) {
		var all []watchword.MailToken
		kinds := []watchword.MailKind{
			watchword.MailReset, watchword.MailReset, watchword.MailVerify, watchword.MailAddressChanged,
		}
		for n, kind := range kinds {
			m := newResetToken(n)
			m.Kind, m.UserID = kind, User(1).ID
			all = append(all, s.addMailToken(m))
		}
		foreign := newResetToken(9)
		foreign.UserID = User(2).ID
		all = append(all, s.addMailToken(foreign))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteMailTokens(ctx, User(1).ID, watchword.MailReset, watchword.MailVerify)
		})
		wantEqual(s, "tokens", s.existingMailTokens(all...), all[3:])
	},

	"DeleteMailTokensAfterKeepsEarlierTokens": func(s suite) {
		var all []watchword.MailToken
		for n := range 4 {
			m := newResetToken(n)
			m.UserID, m.ExpiresAt = User(1).ID, afterStart(time.Duration(n+1)*time.Hour)
			all = append(all, s.addMailToken(m))
		}
		other := newResetToken(9)
		other.Kind, other.UserID, other.ExpiresAt = watchword.MailVerify, User(1).ID, afterStart(9*time.Hour)
		all = append(all, s.addMailToken(other))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return tx.DeleteMailTokensAfter(ctx, User(1).ID, watchword.MailReset, afterStart(2*time.Hour))
		})
		wantEqual(s, "tokens", s.existingMailTokens(all...), []watchword.MailToken{all[0], all[1], all[4]})
	},
}

var mailTests = map[string]func(suite){
	"MailIsReadAsInserted": func(s suite) {
		full := newMail(User(1), 1)
		full.Facts.NewEmail, full.Attempts = "new@example.com", 3
		full.LastError, full.GivenUpAt = "550 no such mailbox", afterStart(time.Hour)
		bare := watchword.Mail{
			ID:        "bare",
			Kind:      watchword.MailReset,
			To:        "a@example.com",
			CreatedAt: Start.Add(-time.Second),
			NextAt:    Start,
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(tx.InsertMail(ctx, full), tx.InsertMail(ctx, bare))
		})
		wantEqual(s, "mails, the oldest first", s.readMails(), []watchword.Mail{bare, full})
	},

	"ClaimMailReturnsTheMailDueLongest": func(s suite) {
		now, until := afterStart(time.Hour), afterStart(time.Hour+time.Minute)
		add := func(n int, next, givenUp time.Time) watchword.Mail {
			m := newMail(User(1), n)
			m.NextAt, m.GivenUpAt = next, givenUp
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
			return m
		}
		second := add(1, now, time.Time{})
		add(2, now.Add(time.Millisecond), time.Time{})
		add(3, Start, Start)
		first := add(4, now.Add(-time.Minute), time.Time{})
		for _, want := range []watchword.Mail{first, second} {
			want.NextAt, want.Attempts = until, 1
			got, err := s.claimMail(now, until)
			if err != nil {
				s.Fatal(err)
			}
			wantEqual(s, "claimed", got, want)
		}
		_, err := s.claimMail(now, until)
		s.wantNotFound("claim when none is due", err)
		again, err := s.claimMail(until, until.Add(time.Minute))
		if err != nil || again.Attempts == 0 {
			s.Errorf("a claim that ran out is not claimed again: %+v, %v", again, err)
		}
	},

	"MailIsPostponedAndAbandoned": func(s suite) {
		m := newMail(User(1), 1)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		postpone := func(next time.Time, why string, givenUp time.Time) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.PostponeMail(ctx, m.ID, next, why, givenUp)
			})
		}
		postpone(afterStart(time.Hour), "421 busy", time.Time{})
		m.NextAt, m.LastError = afterStart(time.Hour), "421 busy"
		wantEqual(s, "postponed", s.readMails(), []watchword.Mail{m})
		postpone(afterStart(time.Hour), "550 no", afterStart(2*time.Hour))
		m.LastError, m.GivenUpAt = "550 no", afterStart(2*time.Hour)
		wantEqual(s, "given up", s.readMails(), []watchword.Mail{m})
		_, err := s.claimMail(afterStart(9*time.Hour), afterStart(10*time.Hour))
		s.wantNotFound("claim of one given up", err)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.DeleteMail(ctx, m.ID) })
		wantEqual(s, "deleted", s.readMails(), nil)
	},

	"RetryMailReschedulesMails": func(s suite) {
		for n := range 3 {
			m := newMail(User(1), n)
			m.NextAt = afterStart(9 * time.Hour)
			if n == 0 {
				m.GivenUpAt = afterStart(time.Hour)
			}
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		}
		retry := func(id string) (n int) {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
				n, err = tx.RetryMail(ctx, id, afterStart(2*time.Hour))
				return err
			})
			return n
		}
		wantEqual(s, "one given up", retry(newMail(User(1), 0).ID), 1)
		wantEqual(s, "one that is not there", retry("nothing"), 0)
		claimed, err := s.claimMail(afterStart(2*time.Hour), afterStart(3*time.Hour))
		if err != nil || claimed.ID != newMail(User(1), 0).ID || !claimed.GivenUpAt.IsZero() {
			s.Errorf("the one retried is not claimed: %+v, %v", claimed, err)
		}
		wantEqual(s, "all", retry(""), 3)
		for _, m := range s.readMails() {
			if m.NextAt != afterStart(2*time.Hour) || !m.GivenUpAt.IsZero() {
				s.Errorf("not due: %+v", m)
			}
		}
	},

	"OutboxCountsWaitingAndAbandonedMails": func(s suite) {
		count := func(waiting, givenUp int, oldest time.Time) {
			s.Helper()
			s.mustView(func(ctx context.Context, tx watchword.Tx) error {
				w, g, o, err := tx.Outbox(ctx)
				if w != waiting || g != givenUp || !o.Equal(oldest) {
					s.Errorf("outbox is %d, %d, %v, want %d, %d, %v", w, g, o, waiting, givenUp, oldest)
				}
				return err
			})
		}
		count(0, 0, time.Time{})
		for n := range 4 {
			m := newMail(User(1), n)
			if n == 0 {
				m.GivenUpAt = afterStart(time.Hour)
			}
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, m) })
		}
		count(3, 1, newMail(User(1), 1).CreatedAt)
	},

	"MailsAreListedUpToTheLimit": func(s suite) {
		for n := range 3 {
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.InsertMail(ctx, newMail(User(1), n))
			})
		}
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			got, err := tx.Mails(ctx, 2)
			wantEqual(s, "mails", got, []watchword.Mail{newMail(User(1), 0), newMail(User(1), 1)})
			return err
		})
	},
}

// newMail returns a mail that is due at the time of its creation. Mails with a higher n are created later.
func newMail(u watchword.User, n int) watchword.Mail {
	at := afterStart(time.Duration(n) * time.Second)
	return watchword.Mail{
		ID: fixedUUID("0003", n), Kind: watchword.MailAddressChanged, To: u.Email, UserID: u.ID,
		Facts:     watchword.MailFacts{At: at, Device: "Firefox on Linux", Address: "203.0.113.7"},
		CreatedAt: at, NextAt: at,
	}
}

// newResetToken returns a token of user n that is valid for an hour.
func newResetToken(n int) watchword.MailToken {
	u := User(n)
	return watchword.MailToken{
		Hash: strings.Repeat(fmt.Sprintf("%08x", n), 8), Kind: watchword.MailReset,
		UserID: u.ID, Email: u.Email, ExpiresAt: afterStart(time.Hour),
	}
}

func (s suite) addMailToken(m watchword.MailToken) watchword.MailToken {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMailToken(ctx, m) })
	return m
}

func (s suite) existingMailTokens(all ...watchword.MailToken) (there []watchword.MailToken) {
	s.Helper()
	for _, m := range all {
		_ = s.View(s.Context(), func(tx watchword.Tx) error {
			got, err := tx.MailToken(s.Context(), m.Hash, m.Kind, Start)
			if err == nil {
				there = append(there, got)
			}
			return err
		})
	}
	return there
}

func takeMailToken(
	hash string, kind watchword.MailKind, now time.Time,
) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.TakeMailToken(ctx, hash, kind, now)
	}
}

func (s suite) claimMail(now, until time.Time) (m watchword.Mail, err error) {
	err = s.Update(s.Context(), func(tx watchword.Tx) error {
		m, err = tx.ClaimMail(s.Context(), now, until)
		return err
	})
	return m, err
}

func (s suite) readMails() (all []watchword.Mail) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		all, err = tx.Mails(ctx, 100)
		return err
	})
	return all
}
