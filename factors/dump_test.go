package factors_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/internal/totp"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A copy of the whole store must contain no secret of a second factor, in any encoding (test 32 of the
// specification).
//
// MFA-12
func TestDumpOfTheStoreHasNoSecretOfAFactor(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := sqlitetest.Path(t, sqlite.Migrate)
		store, err := sqlite.Open(t.Context(), path)
		must(t, err)
		r := newRig(t, store, enableRememberDevice)
		secrets := r.createEverySecret(t)
		files, err := filepath.Glob(path + "*") // includes the journal, which still has deleted rows
		must(t, err)
		var dump []byte
		for _, name := range files {
			part, err := os.ReadFile(name)
			must(t, err)
			dump = append(dump, part...)
		}
		assertNoSecretInDump(t, dump, secrets)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Migrated(t, postgres.Migrate)
		store, err := postgres.Open(t.Context(), url)
		must(t, err)
		r := newRig(t, store, enableRememberDevice)
		secrets := r.createEverySecret(t)
		conn, err := pgx.Connect(t.Context(), url)
		must(t, err)
		defer conn.Close(t.Context()) //nolint:errcheck // the test has ended, so an error does not matter
		rows, err := conn.Query(t.Context(), `SELECT format(
			'SELECT coalesce(string_agg(t::text, chr(10)), '''') FROM %I AS t', tablename)
			FROM pg_tables WHERE schemaname = 'public'`)
		must(t, err)
		queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		var dump []byte
		for _, query := range queries {
			text := ""
			must(t, conn.QueryRow(t.Context(), query).Scan(&text))
			dump = append(dump, text...)
		}
		assertNoSecretInDump(t, dump, secrets)
	})
}

// createEverySecret returns a secret of every kind, by its description. It also signs in with some of these secrets,
// because used secrets must not be stored either.
func (r *rig) createEverySecret(t *testing.T) map[string]watchword.Secret {
	t.Helper()
	a, d := r.createAccountWithTOTP(t), newDevice()
	r.addPasskey(t, a, d)
	all := map[string]watchword.Secret{"secret of an app": watchword.Secret(a.secret)}
	for i, code := range a.codes {
		all["recovery code "+string(rune('0'+i))] = code
		plain := strings.ReplaceAll(string(code), "-", "")
		all["recovery code without a hyphen "+string(rune('0'+i))] = watchword.Secret(plain)
	}
	_, err := r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[0])
	must(t, err)
	browser := r.signInAndRemember(t, a, laptop)
	all["remembered device"] = browser.Remembered
	all["known device"] = a.in.DeviceToken
	all["access token"] = a.in.AccessToken
	all["refresh token"] = a.in.RefreshToken
	begun, err := r.BeginTOTP(t.Context(), a.who, "")
	must(t, err)
	all["secret of an enrolment"] = watchword.Secret(secretOf(t, begun))
	all["handle"] = r.passwordChallenge(t, a, phone)
	ceremony, err := r.PasskeyOptions(t.Context(), phone)
	must(t, err)
	all["ceremony"] = ceremony.ID
	_, err = r.PasskeyLogin(t.Context(), factors.PasskeyLoginRequest{
		Ceremony: ceremony.ID, Credential: d.respondToRequest(t, ceremony.Options), Client: phone})
	must(t, err)
	return all
}

// assertNoSecretInDump searches for each secret and its parts in plain text, base32, base64 and hexadecimal digits.
func assertNoSecretInDump(t *testing.T, dump []byte, secrets map[string]watchword.Secret) {
	t.Helper()
	if !bytes.Contains(dump, []byte("ada@example.com")) {
		t.Fatal("the dump is empty")
	}
	lower := bytes.ToLower(dump)
	for name, secret := range secrets {
		raw := []byte(secret)
		if len(raw) > 40 {
			raw = raw[len(raw)-30:] // only the MAC is secret, not the id in front of it
		}
		for _, form := range []string{string(raw), base64.RawURLEncoding.EncodeToString(raw),
			base64.RawStdEncoding.EncodeToString(raw), hex.EncodeToString(raw), totp.Text(raw)} {
			if bytes.Contains(lower, bytes.ToLower([]byte(form))) {
				t.Errorf("the dump has the %s", name)
			}
		}
	}
}
