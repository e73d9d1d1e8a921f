package watchword_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

const (
	keptID    = "3f0e9bd2-7a0c-4e6f-8a53-1f2d3c4b5a69"
	mongoID   = "5f4dcc3b5aa765d61d8327de"
	someEmail = "ada@example.com"
)

// PW-7, PW-10
func TestAnImportedAccountSignsInAndItsHashIsUpgraded(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	made, err := bcrypt.GenerateFromPassword([]byte(goodPassword), bcrypt.MinCost)
	must(t, err)
	for _, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		hash := watchword.Secret(prefix + string(made[4:]))
		got := r.importAccount(t, accountimport.Account{
			ID: mongoID + prefix, Email: "Ada" + prefix + "@Example.com", Name: " Ada Lovelace ",
			Roles:        []string{"editor", "admin"},
			PasswordHash: hash, CreatedAt: r.clock.Now().Add(-time.Hour), VerifiedAt: r.clock.Now(),
		})
		user := wantUser(t, r, "ada"+strings.ToLower(prefix)+"@example.com")
		want := watchword.User{
			ID: got.User.ID, Email: watchword.Address("ada" + prefix + "@example.com"), VerifiedAt: r.clock.Now(),
			Name:  "Ada Lovelace",
			Roles: []string{"admin", "editor"}, PasswordHash: hash, CreatedAt: r.clock.Now().Add(-time.Hour),
		}
		if diff := cmp.Diff(want, user); diff != "" || got.There {
			t.Error(diff)
		}
		if diff := cmp.Diff(user, got.User); diff != "" {
			t.Errorf("the stored account differs from the result:\n%s", diff)
		}
		if id, err := uuid.Parse(string(user.ID)); err != nil || id.Version() != 8 {
			t.Errorf("id %s", user.ID)
		}
		r.login(t, string(user.Email), laptop)
		if hash := string(wantUser(t, r, string(user.Email)).PasswordHash); !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("the hash was not upgraded: %.7s…", hash)
		}
		r.login(t, string(user.Email), laptop)
		if events := r.eventKinds(t, user.ID); events[0] != watchword.EventSignup {
			t.Errorf("events: %v", events)
		}
	}
	if mails, err := r.Operator().Mails(t.Context(), 10); err != nil || len(mails) > 0 {
		t.Errorf("an import sends mail: %v, %v", mails, err)
	}
}

// A repeated import keeps the changes that users have made to imported accounts.
//
// IMP-3
func TestRepeatedImportChangesNoAccount(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	users := []accountimport.Account{
		{ID: keptID, Email: "kept@example.com", Name: "Kept"},
		{ID: mongoID, Email: "new@example.com", Name: "New"},
		{Email: "verified@example.com", VerifiedAt: r.clock.Now()},
	}
	first, err := accountimport.New(r.Engine).Import(t.Context(), users)
	must(t, err)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		return tx.SetName(t.Context(), first[1].User.ID, "Changed")
	}))
	for _, again := range []func() ([]accountimport.Result, error){
		func() ([]accountimport.Result, error) { return accountimport.New(r.Engine).Check(t.Context(), users) },
		func() ([]accountimport.Result, error) { return accountimport.New(r.Engine).Import(t.Context(), users) },
	} {
		results, err := again()
		must(t, err)
		for i, result := range results {
			if !result.There || result.Problems != nil || result.User.ID != first[i].User.ID {
				t.Errorf("%s: %+v", users[i].Email, result)
			}
		}
		if results[1].User.Name != "Changed" {
			t.Error("the account was overwritten")
		}
	}
	if first[0].User.ID != keptID {
		t.Errorf("the id became %s", first[0].User.ID)
	}
}

// The event of the first import identifies an imported account. A repeated import must find the account, even after
// many later events.
func TestImportedAccountIsRecognizedAfterOtherEvents(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := accountimport.Account{ID: mongoID, Email: someEmail}
	id := r.importAccount(t, user).User.ID
	must(t, r.Operator().DisableUser(t.Context(), id))
	must(t, r.Operator().EnableUser(t.Context(), id))
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		for range 1000 {
			event := watchword.Event{ID: uuid.Must(uuid.NewV7()).String(), UserID: id,
				Kind: watchword.EventLoginFailed, At: r.clock.Now().Add(time.Minute)}
			if err := tx.InsertEvent(t.Context(), event); err != nil {
				return err
			}
		}
		return nil
	}))
	// The second of these accounts has no id, so the import must find the account by the event of the first import.
	for _, one := range []accountimport.Account{user, {Email: someEmail}} {
		if again := r.importAccount(t, one); !again.There || again.User.ID != id {
			t.Errorf("got %+v", again)
		}
	}
}

// A repeated import does not restore a deleted account. If a user has changed the address, the
// import creates no second account with the old address.
//
// IMP-3
func TestRepeatedImportRevertsNoChangeOfItsUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		user  accountimport.Account
		field string // field of the problem
	}{
		{"an id that is kept", accountimport.Account{ID: strings.ToUpper(keptID), Email: someEmail}, "id"},
		{"an id that is not", accountimport.Account{ID: mongoID, Email: someEmail}, "id"},
		{"no id", accountimport.Account{Email: someEmail}, "email"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startEngine(t, nil)
			id := r.importAccount(t, c.user).User.ID
			must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
				_, err := tx.SetEmail(t.Context(), id, someEmail, "moved@example.com", r.clock.Now())
				return err
			}))
			r.wantImportRefused(t, c.user, c.field, "has another address now")
			r.signUp(t, someEmail) // another user now has the address, and proves it
			must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
				_, err := tx.SetVerified(t.Context(), wantUser(t, r, someEmail).ID, someEmail, r.clock.Now())
				return err
			}))
			if c.user.ID == mongoID {
				r.wantImportRefused(t, c.user, c.field, "has another address now")
			}
			must(t, r.Operator().DeleteUser(t.Context(), wantUser(t, r, someEmail).ID))

			must(t, r.Operator().DeleteUser(t.Context(), id))
			r.wantImportRefused(t, c.user, c.field, "was deleted here")
			if c.field == "id" {
				c.user.Email = "other@example.com"
				r.wantImportRefused(t, c.user, c.field, "was deleted here")
			}
			if users, err := r.Operator().Users(t.Context(), "", 10); err != nil || len(users) != 0 {
				t.Errorf("%d accounts, %v", len(users), err)
			}
		})
	}
}

// Two systems can both number their users from 1. An import of the same number from each system must create two
// accounts. The ids of the accounts must not reveal these numbers.
func TestSameIDFromAnotherSystemIsAnotherAccount(t *testing.T) {
	t.Parallel()
	r, other := startEngine(t, nil),
		startEngine(t, func(o *watchword.Options) { o.MasterKey = []byte("another master key, of 32 bytes.") })
	shop := r.importAccount(t, accountimport.Account{ID: "1", Email: "shop@example.com"}).User.ID
	r.wantImportRefused(t, accountimport.Account{ID: "1", Email: "forum@example.com"}, "id", "has another address now")
	forum := r.importAccount(t, accountimport.Account{ID: "1", System: "forum", Email: "forum@example.com"}).User.ID
	elsewhere := other.importAccount(t, accountimport.Account{ID: "1", Email: "shop@example.com"}).User.ID
	if shop == forum || shop == elsewhere {
		t.Errorf("ids %s, %s, %s", shop, forum, elsewhere)
	}
}

// IMP-3
func TestProblemsOfAnImportedAccountAreReported(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	now := r.clock.Now()
	r.importAccount(t, accountimport.Account{ID: keptID, Email: "taken@example.com"})
	r.signUp(t, "stranger@example.com")
	type account = accountimport.Account
	const (
		required, invalid = watchword.FieldRequired, watchword.FieldInvalid
		taken, tooLong    = accountimport.FieldTaken, watchword.FieldTooLong
	)
	for _, c := range []struct {
		name        string
		user        account
		field, code string // field and code of the only problem
	}{
		{"no address", account{}, "email", required},
		{"a bad address", account{Email: "ada"}, "email", invalid},
		{"a long name", account{Email: someEmail, Name: strings.Repeat("x", 201)}, "name", tooLong},
		{"a role with a blank", account{Email: someEmail, Roles: []string{"super user"}}, "roles", invalid},
		{"a password", account{Email: someEmail, PasswordHash: goodPassword}, "passwordHash", invalid},
		{"a date in the future", account{Email: someEmail, CreatedAt: now.Add(49 * time.Hour)}, "createdAt", invalid},
		{"a date that is too early", account{Email: someEmail, DisabledAt: time.Unix(0, 0)}, "disabledAt", invalid},
		{"a proof that is too early", account{Email: someEmail, VerifiedAt: time.Unix(-1, 0)}, "verifiedAt", invalid},
		{"an id of another", account{ID: strings.ToUpper(keptID), Email: someEmail}, "id", taken},
		{"an address of another", account{ID: uuid.NewString(), Email: "Taken@example.com"}, "email", taken},
		{"an address that a stranger signed up with",
			account{ID: mongoID, Email: "stranger@example.com"}, "email", taken},
		{"the same, with an id to keep", account{ID: uuid.NewString(), Email: "stranger@example.com"}, "email", taken},
		{"a day ahead", account{Email: "new@example.com", CreatedAt: now.Add(23 * time.Hour)}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, do := range []func() ([]accountimport.Result, error){
				func() ([]accountimport.Result, error) {
					return accountimport.New(r.Engine).Check(t.Context(), []accountimport.Account{c.user})
				},
				func() ([]accountimport.Result, error) {
					return accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{c.user})
				},
			} {
				got, err := do()
				must(t, err)
				problems := got[0].Problems
				if c.field == "" {
					if problems != nil {
						t.Errorf("problems: %+v", problems)
					}
					continue
				}
				if len(problems) != 1 || problems[0].Field != c.field || problems[0].Code != c.code ||
					problems[0].Message == "" {
					t.Errorf("problems: %+v, want one with %s of %s", problems, c.code, c.field)
				}
				if got[0].User.ID != "" {
					t.Error("the account was created despite the problem")
				}
			}
		})
	}
	if users, err := r.Operator().Users(t.Context(), "", 10); err != nil || len(users) != 3 {
		t.Errorf("%d accounts, %v", len(users), err)
	}
}

// If a user has signed up and proven the address, the import of this address keeps the account.
func TestImportAcceptsAnExistingAccountThatProvedTheAddress(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, someEmail)
	r.deliverMail(t)
	must(t, r.verifyWithSession(t, r.post.lastMail(t, watchword.MailVerify).Token, in))
	got := r.importAccount(t, accountimport.Account{ID: mongoID, Email: someEmail, Name: "Other"})
	if !got.There || got.User.ID != in.User.ID || got.User.Name != "Ada" {
		t.Errorf("got %+v", got)
	}
}

func TestImportRefusesAnAddressThatItsPreviousOwnerCanRestore(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, someEmail)
	must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
		if _, err := tx.SetEmail(t.Context(), in.User.ID, someEmail, "moved@example.com", r.clock.Now()); err != nil {
			return err
		}
		return tx.InsertMailToken(t.Context(), watchword.MailToken{
			Hash: "undo", Kind: watchword.MailAddressChanged, UserID: in.User.ID, Email: someEmail,
			ExpiresAt: r.clock.Now().Add(time.Hour),
		})
	}))
	r.wantImportRefused(t, accountimport.Account{Email: someEmail}, "email", "can take it back")
	r.wantImportRefused(t, accountimport.Account{ID: keptID, Email: someEmail}, "email", "can take it back")
	got, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
		{Email: someEmail}, {Email: "next@example.com"}})
	must(t, err)
	if got[1].User.ID == "" {
		t.Error("the next account was not imported")
	}
}

// ID-9
func TestOneOfConcurrentImportsAndSignUpsGetsTheAddress(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	var all sync.WaitGroup
	var mu sync.Mutex
	var winners []watchword.UserID
	won := func(id watchword.UserID) {
		mu.Lock()
		defer mu.Unlock()
		winners = append(winners, id)
	}
	for n := range 8 {
		all.Go(func() {
			if n%2 == 0 {
				got, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{
					{Email: "other" + string(rune('a'+n)) + "@example.com"},
					{ID: uuid.NewString(), Email: someEmail},
				})
				if err != nil {
					t.Error(err)
				} else if got[1].Problems == nil && !got[1].There {
					won(got[1].User.ID)
				}
				return
			}
			in, err := r.SignUp(t.Context(), watchword.SignUpRequest{
				Email: someEmail, Password: goodPassword, Client: laptop})
			if err == nil {
				won(in.User.ID)
			} else if watchword.CodeOf(err) != watchword.CodeEmailTaken {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(winners) != 1 || wantUser(t, r, someEmail).ID != winners[0] {
		t.Errorf("winners: %v", winners)
	}
}

// importAccount fails the test if the import has a problem, or if a dry run returns another result.
func (r *rig) importAccount(t *testing.T, user accountimport.Account) accountimport.Result {
	t.Helper()
	checked, err := accountimport.New(r.Engine).Check(t.Context(), []accountimport.Account{user})
	must(t, err)
	done, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{user})
	must(t, err)
	if done[0].Problems != nil || checked[0].Problems != nil || checked[0].There != done[0].There {
		t.Fatalf("%s: the import returns %+v, the dry run %+v", user.Email, done[0], checked[0])
	}
	return done[0]
}

// wantImportRefused fails the test unless the import has exactly this problem, and a dry run has the same problem.
func (r *rig) wantImportRefused(t *testing.T, user accountimport.Account, field, why string) {
	t.Helper()
	checked, err := accountimport.New(r.Engine).Check(t.Context(), []accountimport.Account{user})
	must(t, err)
	done, err := accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{user})
	must(t, err)
	p := done[0].Problems
	if len(p) != 1 || p[0].Field != field || p[0].Code != accountimport.FieldTaken ||
		!strings.Contains(p[0].Message, why) {
		t.Errorf("got %+v", done[0])
	}
	if diff := cmp.Diff(checked, done); diff != "" {
		t.Errorf("the dry run differs from the import:\n%s", diff)
	}
}

func wantUser(t *testing.T, r *rig, email string) watchword.User {
	t.Helper()
	user, err := r.Operator().FindUser(t.Context(), email)
	must(t, err)
	return user
}
