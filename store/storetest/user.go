package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

var users = map[string]func(suite){
	"UserIsReadAsInserted": func(s suite) {
		full := s.addUser(1)
		bare := watchword.User{ID: User(2).ID, Email: User(2).Email, CreatedAt: Start}
		s.wantHeld(true, "insert", insertUser(bare, Start))
		same(s, "full user", s.user(full.ID), full)
		same(s, "bare user", s.user(bare.ID), bare)
		s.view(func(ctx context.Context, tx watchword.Tx) error {
			byEmail, err := tx.UserByEmail(ctx, full.Email)
			same(s, "user by address", byEmail, full)
			return err
		})
	},

	"UnknownUserReturnsErrNotFound": func(s suite) {
		nobody := User(9)
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.User(ctx, nobody.ID)
			s.wantNotFound("user", err)
			_, err = tx.UserByEmail(ctx, nobody.Email)
			s.wantNotFound("user by address", err)
			s.wantNotFound("set name", tx.SetName(ctx, nobody.ID, "x"))
			s.wantNotFound("set locale", tx.SetLocale(ctx, nobody.ID, "x"))
			s.wantNotFound("set roles", tx.SetRoles(ctx, nobody.ID, nil, Start))
			s.wantNotFound("set disabled", tx.SetDisabled(ctx, nobody.ID, Start))
			s.wantNotFound("set password", tx.SetPassword(ctx, nobody.ID, "x"))
			s.wantNotFound("delete factors", tx.DeleteFactors(ctx, nobody.ID, time.Time{}, Start))
			s.wantNotFound("count factors", tx.(factors.Tx).CountFactors(ctx, nobody.ID, Start))
			return nil
		})
		s.wantHeld(false, "replace the password of nobody", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.ReplacePassword(ctx, watchword.User{ID: nobody.ID}, "x")
		})
		s.wantHeld(false, "delete nobody", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, nobody.ID)
		})
	},

	// Tx.Users must find all addresses with a prefix, even on a database whose collation ignores punctuation.
	"UsersOfAPrefixAreARangeOfBytes": func(s suite) {
		addresses := []watchword.Address{
			"a.da@x.org", "a@x.org", "ab@x.org", "a-b@x.org", "ada+1@x.org", "ada-b@x.org", "ada.c@x.org", "ada@x.org",
			"adam@x.org", "adb@x.org",
		}
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			for n, address := range addresses {
				u := User(n)
				u.Email = address
				if _, err := tx.InsertUser(ctx, u, Start); err != nil {
					return err
				}
			}
			return nil
		})
		between := func(from, below watchword.Address) (found []watchword.Address) {
			s.view(func(ctx context.Context, tx watchword.Tx) error {
				page, err := tx.Users(ctx, from, below, 100)
				for _, u := range page {
					found = append(found, u.Email)
				}
				return err
			})
			return found
		}
		slices.Sort(addresses)
		same(s, "all addresses", between("", "\x7f"), addresses)
		same(s, "addresses that begin with ada", between("ada", "ada\x7f"), []watchword.Address{
			"ada+1@x.org", "ada-b@x.org", "ada.c@x.org", "ada@x.org", "adam@x.org"})
		same(s, "addresses that begin with adc", between("adc", "adc\x7f"), nil)
	},

	"UsersAreListedByAddressInPages": func(s suite) {
		for n := range 5 {
			s.addUser(n)
		}
		var seen []watchword.Address
		s.view(func(ctx context.Context, tx watchword.Tx) error {
			for from := watchword.Address(""); ; {
				page, err := tx.Users(ctx, from, "\x7f", 2)
				if err != nil || len(page) == 0 {
					return err
				}
				for _, u := range page {
					seen = append(seen, u.Email)
				}
				from = page[len(page)-1].Email + "\x01"
			}
		})
		same(
			s,
			"addresses",
			seen,
			[]watchword.Address{User(0).Email, User(1).Email, User(2).Email, User(3).Email, User(4).Email},
		)
	},

	// JWT-15
	"EachChangeOfRolesGetsItsOwnSecond": func(s suite) {
		u := s.addUser(1)
		for _, c := range []struct{ at, want time.Duration }{{5, 5}, {5, 6}, {5, 7}, {9, 9}, {3, 10}} {
			s.update(func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetRoles(ctx, u.ID, nil, after(c.at*time.Second))
			})
			same(s, "roles changed", s.user(u.ID).RolesChangedAt, after(c.want*time.Second))
		}
	},

	"SettersChangeOneUserOnly": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		u.Name, u.Roles, u.RolesChangedAt = `"; DROP TABLE users; --`, []string{"teacher"}, after(time.Hour)
		u.DisabledAt, u.PasswordHash, u.Locale = after(time.Minute), "another hash", "pt-BR"
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.SetName(ctx, u.ID, u.Name), tx.SetLocale(ctx, u.ID, u.Locale), tx.SetRoles(ctx, u.ID, u.Roles, u.RolesChangedAt),
				tx.SetDisabled(ctx, u.ID, u.DisabledAt), tx.SetPassword(ctx, u.ID, u.PasswordHash))
		})
		same(s, "user", s.user(u.ID), u)
		same(s, "another user", s.user(other.ID), other)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.SetDisabled(ctx, u.ID, time.Time{}) })
		if s.user(u.ID).Disabled() {
			s.Error("the zero time does not enable the account")
		}
	},

	"ReplacePasswordRequiresTheCurrentHash": func(s suite) {
		u := s.addUser(1)
		replace := func(from, to watchword.Secret) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				before := u
				before.PasswordHash = from
				return tx.ReplacePassword(ctx, before, to)
			}
		}
		s.wantHeld(false, "from another hash", replace("not it", "new"))
		s.wantHeld(true, "by itself: the lock of a sign-in", replace(u.PasswordHash, u.PasswordHash))
		same(s, "user", s.user(u.ID), u)
		s.wantHeld(true, "by another", replace(u.PasswordHash, "new"))
		s.wantHeld(false, "a second time", replace(u.PasswordHash, "newer"))
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.SetDisabled(ctx, u.ID, Start) })
		s.wantHeld(false, "of a disabled account", replace("new", "newest"))
		u.PasswordHash, u.DisabledAt = "new", Start
		same(s, "user at the end", s.user(u.ID), u)
	},

	"UserWithoutAnIDIsNotInserted": func(s suite) {
		bare := User(1)
		bare.ID = ""
		if err := s.Update(s.Context(), func(tx watchword.Tx) error {
			inserted, err := tx.InsertUser(s.Context(), bare, Start)
			same(s, "inserted", inserted, false)
			return err
		}); err == nil {
			s.Error("there was no error")
		}
		s.wantHeld(true, "with an id", insertUser(User(1), Start))
	},

	"AddressIsUnique": func(s suite) {
		u, duplicate := s.addUser(1), User(2)
		duplicate.Email = u.Email
		s.wantHeld(false, "insert", insertUser(duplicate, Start))
		other := s.addUser(3)
		s.wantHeld(false, "change to a taken address", setEmail(other, u.Email, Start))
		same(s, "other", s.user(other.ID), other)
	},

	"ReservedAddressIsNotFree": func(s suite) {
		former, other, newcomer := s.addUser(1), s.addUser(2), User(3)
		undo := watchword.MailToken{
			Hash: "undo", Kind: watchword.MailAddressChanged, UserID: former.ID,
			Email: former.Email, ExpiresAt: after(time.Hour),
		}
		s.addMailToken(undo)
		s.wantHeld(true, "the owner moves away", setEmail(former, "moved@example.com", Start))
		former.Email = "moved@example.com"
		newcomer.Email = undo.Email

		s.wantHeld(false, "sign up with it", insertUser(newcomer, after(time.Hour-time.Millisecond)))
		s.wantHeld(true, "it is reserved", reserved(undo.Email, after(time.Hour-time.Millisecond)))
		s.wantHeld(false, "it is reserved when the token has expired", reserved(undo.Email, undo.ExpiresAt))
		s.wantHeld(false, "another is reserved", reserved(former.Email, Start))
		s.wantHeld(false, "change to it", setEmail(other, undo.Email, Start))
		s.wantHeld(true, "the last owner takes it back", setEmail(former, undo.Email, Start))
		former.Email = undo.Email
		s.wantHeld(true, "and moves away again", setEmail(former, "moved@example.com", Start))
		s.wantHeld(true, "sign up with it when the token has expired", insertUser(newcomer, undo.ExpiresAt))
	},

	"OnlyAddressChangedTokenReservesAnAddress": func(s suite) {
		newcomer := User(3)
		s.addMailToken(watchword.MailToken{
			Hash: "reset", Kind: watchword.MailReset, UserID: User(1).ID,
			Email: newcomer.Email, ExpiresAt: after(time.Hour),
		})
		s.wantHeld(false, "it is reserved", reserved(newcomer.Email, Start))
		s.wantHeld(true, "sign up", insertUser(newcomer, Start))
	},

	"SetEmailRequiresTheCurrentAddress": func(s suite) {
		u := s.addUser(1)
		stale := u
		stale.Email = "older@example.com"
		s.wantHeld(false, "from another", setEmail(stale, "new@example.com", after(time.Minute)))
		same(s, "user", s.user(u.ID), u)
		s.wantHeld(true, "from the present one", setEmail(u, "new@example.com", after(time.Minute)))
		u.Email, u.VerifiedAt = "new@example.com", after(time.Minute)
		same(s, "user after", s.user(u.ID), u)
	},

	"LockUserRequiresTheAddress": func(s suite) {
		u := s.addUser(1)
		lock := func(id watchword.UserID, email watchword.Address) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.LockUser(ctx, id, email) }
		}
		s.wantHeld(true, "lock", lock(u.ID, u.Email))
		s.wantHeld(false, "with another address", lock(u.ID, User(2).Email))
		s.wantHeld(false, "another user", lock(User(2).ID, u.Email))
		same(s, "user", s.user(u.ID), u)
	},

	"SetVerifiedRequiresTheProvenAddress": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantHeld(true, "insert", insertUser(u, Start))
		verify := func(email watchword.Address) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.SetVerified(ctx, u.ID, email, after(time.Minute))
			}
		}
		s.wantHeld(false, "another address", verify("other@example.com"))
		same(s, "user", s.user(u.ID), u)
		s.wantHeld(true, "the address", verify(u.Email))
		u.VerifiedAt = after(time.Minute)
		same(s, "user after", s.user(u.ID), u)
	},

	"DeleteUserDeletesEventsAndMails": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		one := s.addSession(Session(u.ID, 1))
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, eventOf(u.ID, 1)), tx.InsertEvent(ctx, eventOf(other.ID, 2)),
				tx.InsertMail(ctx, mailOf(u, 1)), tx.InsertMail(ctx, mailOf(other, 2)))
		})
		s.wantHeld(
			true,
			"delete",
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.DeleteUser(ctx, u.ID) },
		)
		s.view(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.User(ctx, u.ID)
			s.wantNotFound("user", err)
			_, _, err = tx.Session(ctx, one.ID)
			s.wantNotFound("session of a deleted user", err)
			return nil
		})
		same(s, "events", s.events(u.ID, 10), nil)
		same(s, "events of another", s.events(other.ID, 10), []watchword.Event{eventOf(other.ID, 2)})
		same(s, "mails", s.mails(), []watchword.Mail{mailOf(other, 2)})
		s.wantHeld(true, "sign up again", insertUser(User(1), Start))
	},
}

func insertUser(u watchword.User, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.InsertUser(ctx, u, now) }
}

func setEmail(u watchword.User, to watchword.Address, at time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) {
		return tx.SetEmail(ctx, u.ID, u.Email, to, at)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func reserved(email watchword.Address, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.Reserved(ctx, email, now) }
}
