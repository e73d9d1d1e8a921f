package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

var userTests = map[string]func(suite){
	"UserIsReadAsInserted": func(s suite) {
		full := s.addUser(1)
		bare := watchword.User{ID: User(2).ID, Email: User(2).Email, CreatedAt: Start}
		s.wantUpdate(true, "insert", insertUser(bare, Start))
		wantEqual(s, "full user", s.readUser(full.ID), full)
		wantEqual(s, "bare user", s.readUser(bare.ID), bare)
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			byEmail, err := tx.UserByEmail(ctx, full.Email)
			wantEqual(s, "user by address", byEmail, full)
			return err
		})
	},

	"UnknownUserReturnsErrNotFound": func(s suite) {
		nobody := User(9)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
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
		s.wantUpdate(false, "replace the password of nobody", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.ReplacePassword(ctx, watchword.User{ID: nobody.ID}, "x")
		})
		s.wantUpdate(false, "delete nobody", func(ctx context.Context, tx watchword.Tx) (bool, error) {
			return tx.DeleteUser(ctx, nobody.ID)
		})
	},

	// Tx.Users must find all addresses with a prefix, even on a database whose collation ignores punctuation.
	"UsersOfAPrefixAreARangeOfBytes": func(s suite) {
		addresses := []watchword.Address{
			"a.da@x.org", "a@x.org", "ab@x.org", "a-b@x.org", "ada+1@x.org", "ada-b@x.org", "ada.c@x.org", "ada@x.org",
			"adam@x.org", "adb@x.org",
		}
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
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
			s.mustView(func(ctx context.Context, tx watchword.Tx) error {
				page, err := tx.Users(ctx, from, below, 100)
				for _, u := range page {
					found = append(found, u.Email)
				}
				return err
			})
			return found
		}
		slices.Sort(addresses)
		wantEqual(s, "all addresses", between("", "\x7f"), addresses)
		wantEqual(s, "addresses that begin with ada", between("ada", "ada\x7f"), []watchword.Address{
			"ada+1@x.org", "ada-b@x.org", "ada.c@x.org", "ada@x.org", "adam@x.org"})
		wantEqual(s, "addresses that begin with adc", between("adc", "adc\x7f"), nil)
	},

	"UsersAreListedByAddressInPages": func(s suite) {
		for n := range 5 {
			s.addUser(n)
		}
		var seen []watchword.Address
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
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
		wantEqual(
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
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetRoles(ctx, u.ID, nil, afterStart(c.at*time.Second))
			})
			wantEqual(s, "roles changed", s.readUser(u.ID).RolesChangedAt, afterStart(c.want*time.Second))
		}
	},

	"SettersChangeOneUserOnly": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		u.Name, u.Roles, u.RolesChangedAt = `"; DROP TABLE users; --`, []string{"teacher"}, afterStart(time.Hour)
		u.DisabledAt, u.PasswordHash, u.Locale = afterStart(time.Minute), "another hash", "pt-BR"
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.SetName(ctx, u.ID, u.Name), tx.SetLocale(ctx, u.ID, u.Locale), tx.SetRoles(ctx, u.ID, u.Roles, u.RolesChangedAt),
				tx.SetDisabled(ctx, u.ID, u.DisabledAt), tx.SetPassword(ctx, u.ID, u.PasswordHash))
		})
		wantEqual(s, "user", s.readUser(u.ID), u)
		wantEqual(s, "another user", s.readUser(other.ID), other)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetDisabled(ctx, u.ID, time.Time{}) })
		if s.readUser(u.ID).Disabled() {
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
		s.wantUpdate(false, "from another hash", replace("not it", "new"))
		s.wantUpdate(true, "by itself: the lock of a sign-in", replace(u.PasswordHash, u.PasswordHash))
		wantEqual(s, "user", s.readUser(u.ID), u)
		s.wantUpdate(true, "by another", replace(u.PasswordHash, "new"))
		s.wantUpdate(false, "a second time", replace(u.PasswordHash, "newer"))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetDisabled(ctx, u.ID, Start) })
		s.wantUpdate(false, "of a disabled account", replace("new", "newest"))
		u.PasswordHash, u.DisabledAt = "new", Start
		wantEqual(s, "user at the end", s.readUser(u.ID), u)
	},

	"UserWithoutAnIDIsNotInserted": func(s suite) {
		bare := User(1)
		bare.ID = ""
		if err := s.Update(s.Context(), func(tx watchword.Tx) error {
			inserted, err := tx.InsertUser(s.Context(), bare, Start)
			wantEqual(s, "inserted", inserted, false)
			return err
		}); err == nil {
			s.Error("there was no error")
		}
		s.wantUpdate(true, "with an id", insertUser(User(1), Start))
	},

	"AddressIsUnique": func(s suite) {
		u, duplicate := s.addUser(1), User(2)
		duplicate.Email = u.Email
		s.wantUpdate(false, "insert", insertUser(duplicate, Start))
		other := s.addUser(3)
		s.wantUpdate(false, "change to a taken address", setEmail(other, u.Email, Start))
		wantEqual(s, "other", s.readUser(other.ID), other)
	},

	"ReservedAddressIsNotFree": func(s suite) {
		former, other, newcomer := s.addUser(1), s.addUser(2), User(3)
		undo := watchword.MailToken{
			Hash: "undo", Kind: watchword.MailAddressChanged, UserID: former.ID,
			Email: former.Email, ExpiresAt: afterStart(time.Hour),
		}
		s.addMailToken(undo)
		s.wantUpdate(true, "the owner moves away", setEmail(former, "moved@example.com", Start))
		former.Email = "moved@example.com"
		newcomer.Email = undo.Email

		s.wantUpdate(false, "sign up with it", insertUser(newcomer, afterStart(time.Hour-time.Millisecond)))
		s.wantUpdate(true, "it is reserved", isReserved(undo.Email, afterStart(time.Hour-time.Millisecond)))
		s.wantUpdate(false, "it is reserved when the token has expired", isReserved(undo.Email, undo.ExpiresAt))
		s.wantUpdate(false, "another is reserved", isReserved(former.Email, Start))
		s.wantUpdate(false, "change to it", setEmail(other, undo.Email, Start))
		s.wantUpdate(true, "the last owner takes it back", setEmail(former, undo.Email, Start))
		former.Email = undo.Email
		s.wantUpdate(true, "and moves away again", setEmail(former, "moved@example.com", Start))
		s.wantUpdate(true, "sign up with it when the token has expired", insertUser(newcomer, undo.ExpiresAt))
	},

	"OnlyAddressChangedTokenReservesAnAddress": func(s suite) {
		newcomer := User(3)
		s.addMailToken(watchword.MailToken{
			Hash: "reset", Kind: watchword.MailReset, UserID: User(1).ID,
			Email: newcomer.Email, ExpiresAt: afterStart(time.Hour),
		})
		s.wantUpdate(false, "it is reserved", isReserved(newcomer.Email, Start))
		s.wantUpdate(true, "sign up", insertUser(newcomer, Start))
	},

	"SetEmailRequiresTheCurrentAddress": func(s suite) {
		u := s.addUser(1)
		stale := u
		stale.Email = "older@example.com"
		s.wantUpdate(false, "from another", setEmail(stale, "new@example.com", afterStart(time.Minute)))
		wantEqual(s, "user", s.readUser(u.ID), u)
		s.wantUpdate(true, "from the present one", setEmail(u, "new@example.com", afterStart(time.Minute)))
		u.Email, u.VerifiedAt = "new@example.com", afterStart(time.Minute)
		wantEqual(s, "user after", s.readUser(u.ID), u)
	},

	"LockUserRequiresTheAddress": func(s suite) {
		u := s.addUser(1)
		lock := func(id watchword.UserID, email watchword.Address) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.LockUser(ctx, id, email) }
		}
		s.wantUpdate(true, "lock", lock(u.ID, u.Email))
		s.wantUpdate(false, "with another address", lock(u.ID, User(2).Email))
		s.wantUpdate(false, "another user", lock(User(2).ID, u.Email))
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	"SetVerifiedRequiresTheProvenAddress": func(s suite) {
		u := User(1)
		u.VerifiedAt = time.Time{}
		s.wantUpdate(true, "insert", insertUser(u, Start))
		verify := func(email watchword.Address) func(context.Context, watchword.Tx) (bool, error) {
			return func(ctx context.Context, tx watchword.Tx) (bool, error) {
				return tx.SetVerified(ctx, u.ID, email, afterStart(time.Minute))
			}
		}
		s.wantUpdate(false, "another address", verify("other@example.com"))
		wantEqual(s, "user", s.readUser(u.ID), u)
		s.wantUpdate(true, "the address", verify(u.Email))
		u.VerifiedAt = afterStart(time.Minute)
		wantEqual(s, "user after", s.readUser(u.ID), u)
	},

	"DeleteUserDeletesEventsAndMails": func(s suite) {
		u, other := s.addUser(1), s.addUser(2)
		one := s.addSession(Session(u.ID, 1))
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			return firstError(
				tx.InsertEvent(ctx, newEvent(u.ID, 1)), tx.InsertEvent(ctx, newEvent(other.ID, 2)),
				tx.InsertMail(ctx, newMail(u, 1)), tx.InsertMail(ctx, newMail(other, 2)))
		})
		s.wantUpdate(
			true,
			"delete",
			func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.DeleteUser(ctx, u.ID) },
		)
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			_, err := tx.User(ctx, u.ID)
			s.wantNotFound("user", err)
			_, _, err = tx.Session(ctx, one.ID)
			s.wantNotFound("session of a deleted user", err)
			return nil
		})
		wantEqual(s, "events", s.readEvents(u.ID, 10), nil)
		wantEqual(s, "events of another", s.readEvents(other.ID, 10), []watchword.Event{newEvent(other.ID, 2)})
		wantEqual(s, "mails", s.readMails(), []watchword.Mail{newMail(other, 2)})
		s.wantUpdate(true, "sign up again", insertUser(User(1), Start))
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

func isReserved(email watchword.Address, now time.Time) func(context.Context, watchword.Tx) (bool, error) {
	return func(ctx context.Context, tx watchword.Tx) (bool, error) { return tx.Reserved(ctx, email, now) }
}
