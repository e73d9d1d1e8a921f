package metadata_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
)

// JWT-21
func TestImportedAccountsHaveTheirMetadata(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		importer := accountimport.New(r.Engine).WithMetadata(r.Imports())
		long, err := json.Marshal(map[string]string{"text": strings.Repeat("x", 4000)})
		must(t, err)
		accounts := []accountimport.Account{
			{Email: "both@example.com", PublicMetadata: `{"plan":"pro","n":9007199254740993}`, PrivateMetadata: ` { "b" : [null] } `},
			{Email: "private@example.com", PrivateMetadata: `{"only":1}`},
			{Email: "none@example.com"},
			{Email: "token@example.com", PublicMetadata: string(long)},
			{Email: "large@example.com", PrivateMetadata: `{"a":"` + strings.Repeat("x", 8<<10) + `"}`},
			{Email: "list@example.com", PublicMetadata: `[1]`},
		}
		for range 2 { // in the second import, the accounts exist and keep their metadata
			for _, do := range []func() ([]accountimport.Result, error){
				func() ([]accountimport.Result, error) { return importer.Check(t.Context(), accounts) },
				func() ([]accountimport.Result, error) { return importer.Import(t.Context(), accounts) },
			} {
				results, err := do()
				must(t, err)
				for n, result := range results {
					if refused := len(result.Problems) > 0; refused != (n > 2) {
						t.Errorf("%s: %+v", accounts[n].Email, result.Problems)
					}
					if n > 2 && result.Problems[0].Field != "metadata" {
						t.Errorf("%s: %+v", accounts[n].Email, result.Problems)
					}
				}
			}
			accounts[0].PublicMetadata = `{"plan":"free"}`
		}

		users, err := r.Operator().Users(t.Context(), "", 100)
		must(t, err)
		private, err := r.Private(t.Context(), users)
		must(t, err)
		stored := map[watchword.Address]string{}
		for _, u := range users {
			stored[u.Email] = u.Metadata + private[u.ID]
			m, err := r.Get(t.Context(), u.ID)
			must(t, err)
			if m.Private != private[u.ID] || m.Public != u.Metadata || (m.Version == 1) != (stored[u.Email] != "") {
				t.Errorf("%s: %+v", u.Email, m)
			}
		}
		for email, want := range map[watchword.Address]string{
			"both@example.com": `{"n":9007199254740993,"plan":"pro"}{"b":[null]}`, "private@example.com": `{"only":1}`,
			"none@example.com": "", "ada@example.com": "",
		} {
			if got, there := stored[email]; !there || got != want {
				t.Errorf("%s has %q, want %q", email, got, want)
			}
		}
	})
}

func TestImportWithoutThisPackageRefusesMetadata(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		results, err := accountimport.New(r.Engine).Import(t.Context(),
			[]accountimport.Account{{Email: "grace@example.com", PublicMetadata: `{"a":1}`}})
		must(t, err)
		if len(results[0].Problems) != 1 || results[0].Problems[0].Field != "metadata" {
			t.Errorf("%+v", results[0])
		}
		_, err = r.Operator().FindUser(t.Context(), "grace@example.com")
		wantCode(t, err, watchword.CodeNotFound)
		none, err := r.Private(t.Context(), nil)
		must(t, err)
		if len(none) > 0 {
			t.Error(none)
		}
	})
}
