package watchword_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

const somePepper = "c0ffeec0ffeec0ffee"

func peppered(t *testing.T, pepper string) watchword.Secret {
	t.Helper()
	made, err := bcrypt.GenerateFromPassword([]byte(goodPassword+pepper), bcrypt.MinCost)
	must(t, err)
	return watchword.Secret(made)
}

// A hash from another system that needs a pepper is imported. The pepper is stored once and sealed. The first sign-in
// replaces the hash with one that needs no pepper.
//
// IMP-2
func TestAPepperedHashSignsInAndThePepperIsStoredSealed(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, start func(*testing.T, func(*watchword.Options)) *rig) {
		r := start(t, nil)
		users := []accountimport.Account{
			{ID: "1", Email: "a@example.com", PasswordHash: peppered(t, somePepper), Pepper: somePepper},
			{ID: "2", Email: "b@example.com", PasswordHash: peppered(t, somePepper), Pepper: somePepper},
			{ID: "3", Email: "c@example.com", PasswordHash: peppered(t, "other"), Pepper: "other"},
			// The last account names a pepper that its hash was not computed with, so it must not be able to sign in.
			{ID: "4", Email: "d@example.com", PasswordHash: peppered(t, "other"), Pepper: somePepper},
		}
		for range 2 {
			if _, err := accountimport.New(r.Engine).Import(t.Context(), users); err != nil {
				t.Fatal(err)
			}
		}
		var peppers []watchword.Key
		must(t, r.store.View(t.Context(), func(tx watchword.Tx) error {
			keys, err := tx.Keys(t.Context())
			for _, key := range keys {
				if key.Use == watchword.KeyPepper {
					peppers = append(peppers, key)
				}
			}
			return err
		}))
		if len(peppers) != 2 || bytes.Contains(peppers[0].Sealed, []byte(somePepper)) ||
			bytes.Contains(peppers[1].Sealed, []byte(somePepper)) {
			t.Errorf("%d peppers are stored, want 2, all sealed", len(peppers))
		}
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			hash := string(wantUser(t, r, email).PasswordHash)
			if !strings.HasPrefix(hash, "{pepper:") || strings.Contains(hash, somePepper) {
				t.Errorf("%s has the hash %.60s", email, hash)
			}
			r.login(t, email, laptop)
			if hash := string(wantUser(t, r, email).PasswordHash); !strings.HasPrefix(hash, "$argon2id$") {
				t.Errorf("%s has the hash %.7s after a sign-in", email, hash)
			}
		}
		_, err := r.Login(t.Context(), watchword.LoginRequest{
			Email: "d@example.com", Password: goodPassword, Client: laptop})
		if watchword.CodeOf(err) != watchword.CodeInvalidCredentials {
			t.Errorf("with another pepper: %v", err)
		}
		if infos, err := r.Operator().Keys(t.Context()); err != nil || len(infos) == 0 {
			t.Error(err)
		} else if i := strings.Index(cmp.Diff(infos, nil), "pepper"); i >= 0 {
			t.Error("a pepper is listed among the keys that rotate")
		}
	})
}

// A hash that names a pepper is refused if the store does not have the pepper.
//
// IMP-2
func TestHashWithAnUnknownPepperIsRefused(t *testing.T) {
	t.Parallel()
	from, to := startEngine(t, nil), startEngine(t, nil)
	from.importAccount(t, accountimport.Account{
		ID: "1", Email: someEmail, PasswordHash: peppered(t, somePepper), Pepper: somePepper})
	exported := wantUser(t, from, someEmail).PasswordHash
	wantHashRefused(t, to, accountimport.Account{ID: "1", Email: someEmail, PasswordHash: exported}, "--pepper-file")
	to.importAccount(t, accountimport.Account{ID: "1", Email: someEmail, PasswordHash: exported, Pepper: somePepper})
	to.login(t, someEmail, laptop)
	wantHashRefused(t, to, accountimport.Account{
		ID: "2", Email: "b@example.com", PasswordHash: exported, Prehash: "sha256-hex"}, "remove the method")
	wantHashRefused(t, to, accountimport.Account{
		ID: "2", Email: "b@example.com", PasswordHash: peppered(t, ""), Prehash: "sha3"}, "there is no method")
}

func wantHashRefused(t *testing.T, r *rig, user accountimport.Account, why string) {
	t.Helper()
	for _, do := range []func() ([]accountimport.Result, error){
		func() ([]accountimport.Result, error) {
			return accountimport.New(r.Engine).Check(t.Context(), []accountimport.Account{user})
		},
		func() ([]accountimport.Result, error) {
			return accountimport.New(r.Engine).Import(t.Context(), []accountimport.Account{user})
		},
	} {
		results, err := do()
		if err != nil || len(results[0].Problems) != 1 || results[0].Problems[0].Field != "passwordHash" ||
			!strings.Contains(results[0].Problems[0].Message, why) {
			t.Errorf("got %+v, %v, want %q", results, err, why)
		}
	}
}
