package postgres_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/storetest"
)

// A search by prefix must find all addresses in a database with a language collation. Such collations compare letters
// first and punctuation last, so addresses with the same prefix may not be adjacent in the index of the column.
func TestPrefixIsARangeInADatabaseWithALanguageCollation(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, "fsync = off")
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // it is a test
	_, err = conn.Exec(t.Context(), `CREATE DATABASE english TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER icu
		ICU_LOCALE 'en-US-u-ka-shifted'`)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), server.URL("english"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	want := []watchword.Address{"ada+1@x.org", "ada-b@x.org", "ada.c@x.org", "ada@x.org", "adam@x.org"}
	err = store.Update(t.Context(), func(tx watchword.Tx) error {
		others := []watchword.Address{"a.da@x.org", "ad-ab@x.org", "adb@x.org", "a@x.org"}
		for n, address := range append(others, want...) {
			u := storetest.User(n)
			u.Email = address
			if _, err := tx.InsertUser(t.Context(), u, storetest.Start); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []watchword.Address
	err = store.View(t.Context(), func(tx watchword.Tx) error {
		users, err := tx.Users(t.Context(), "ada", "ada\x7f", 100)
		for _, u := range users {
			got = append(got, u.Email)
		}
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %v, %v; want %v", got, err, want)
	}
}
