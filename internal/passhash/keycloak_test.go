package passhash_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

const noParameters = `,"additionalParameters":{}}`

// keycloakCredentials has the two texts of each credential, as in the export of a realm. Entries named Java were
// created with the classes that Keycloak calls: SecretKeyFactory and Bouncy Castle's Argon2BytesGenerator. Together
// the entries have all lengths that versions of Keycloak use.
var keycloakCredentials = []struct {
	source       string
	data, secret string
	password     string
	storedPrefix string
}{
	{"Strimzi's example kafka-authz-realm.json, of Keycloak", `{"hashIterations":27500,"algorithm":"pbkdf2-sha256"}`,
		`{"value":"KqABIiReBuRWbP4pBct3W067pNvYzeN7ILBV+8vT8nuF5cgYs2fdl2QikJT/7bGTW/PBXg6CYLwJQFYrBK9MWg==","salt":"EPgscX9CQz7UnuZDNZxtMw=="}`,
		"alice-password", "$pbkdf2-sha256$i=27500$EPgscX9CQz7UnuZDNZxtMw$KqABIiReBuRWbP4pBct3W067pNvYzeN7ILBV+8vT8ns"},
	{"a database of Keycloak 24 on GitHub", `{"hashIterations":210000,"algorithm":"pbkdf2-sha512"` + noParameters,
		`{"value":"5IL4kCCyOerhaEHfdK1BbjYxO6HitYLRtJOxwD8MUZH5wCgc1edmf35rWiP9sRxEwnQDstxch8twKh08Usi1fQ==","salt":"JaBKqx57IIB/dLDTpWBu+Q=="` + noParameters,
		"password", "$pbkdf2-sha512$i=210000$JaBKqx57IIB/dLDTpWBu+Q$5IL4kCCyOerhaEHf"},
	{"Keycloak 26, in a test on GitHub", argon2Data,
		`{"value":"xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=","salt":"LRScGShC7shkdoU5B1UgUQ=="` + noParameters,
		"secret", "$argon2id$v=19$m=7168,t=5,p=1$LRScGShC7shkdoU5B1UgUQ$xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80"},
	{"Java 17, 160 bits", `{"hashIterations":1000,"algorithm":"pbkdf2"` + noParameters,
		`{"value":"42+d12kt/KU+Ky2S7cI6iQS2OFc=","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$pbkdf2-sha1$i=1000$c29tZXNhbHRzb21lc2FsdA$42+d12kt/KU+Ky2S7cI6iQS2OFc"},
	{"Java 17, 512 bits", `{"hashIterations":1000,"algorithm":"pbkdf2"` + noParameters,
		`{"value":"42+d12kt/KU+Ky2S7cI6iQS2OFen0MeLtN+D9Yf1/qT20iw63U+Q9hbgojOWmeKeDLbnJZsryESlNl/JPmx5qQ==","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$pbkdf2-sha1$i=1000$c29tZXNhbHRzb21lc2FsdA$42+d12kt/KU+Ky2S7cI6iQS2OFc"},
	{"Java 17, 256 bits", `{"hashIterations":1000,"algorithm":"pbkdf2-sha256"` + noParameters,
		`{"value":"f2yJk+Dph1FxQ+yhQ5KLmg1c5wfFtFU14dLQONYBoAE=","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$pbkdf2-sha256$i=1000$c29tZXNhbHRzb21lc2FsdA$f2yJk+Dph1FxQ+yhQ5KLmg1c5wfFtFU14dLQONYBoAE"},
	{"Java 17, 1024 bits", `{"hashIterations":1000,"algorithm":"pbkdf2-sha512"` + noParameters,
		`{"value":"RbkohYpABhrVf6dAjV1mgswjeaDcEw/Z9Lqqoc7ZO6eeqGc4EIBheeCgNOsc3H1ATsxkis9nQ04P4KAKB0FMcMvJM0wWzAB1li05je+umE6nVO0PtzafkjkaKtNB2F7wmrNbCmatN9cSbW1JwVyAOSofDlfzWGTtbkQj3Yr5Hq0=","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$pbkdf2-sha512$i=1000$c29tZXNhbHRzb21lc2FsdA$RbkohYpABhrVf6dAjV1mgswjeaDcEw/" +
			"Z9Lqqoc7ZO6eeqGc4EIBheeCgNOsc3H1ATsxkis9nQ04P4KAKB0FMcA"},
	{"Bouncy Castle 1.72", strings.NewReplacer("7168", "64", ":5", ":2", `["1"]`, `["2"]`).Replace(argon2Data),
		`{"value":"buIR3cR+U1IUJ8+WyIxlnaObAbutw+YzwF0bmgUKlVY=","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$argon2id$v=19$m=64,t=2,p=2$"},
	{"Bouncy Castle 1.72, Argon2i", strings.NewReplacer("7168", "64", ":5", ":2", `["1"]`, `["2"]`, `"id"`, `"i"`).Replace(argon2Data),
		`{"value":"puc453Cpq1DFRL695M7MD8xMTPSjus4jpty4H6duI0g=","salt":"c29tZXNhbHRzb21lc2FsdA=="` + noParameters,
		normal, "$argon2i$v=19$m=64,t=2,p=2$"},
}

const argon2Data = `{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`

func TestKeycloakPasswordsVerify(t *testing.T) {
	t.Parallel()
	for _, k := range keycloakCredentials {
		encoded, err := passhash.AdoptKeycloak(k.data, k.secret)
		if err != nil {
			t.Errorf("%s: %v", k.source, err)
			continue
		}
		if !strings.HasPrefix(encoded, k.storedPrefix) {
			t.Errorf("%s: is stored as %s, want %s", k.source, encoded, k.storedPrefix)
		}
		if !verify(t, encoded, k.password) || verify(t, encoded, k.password+"s") {
			t.Errorf("%s: the password is rejected, or another one is accepted", k.source)
		}
		if again := adopt(t, encoded); again != encoded {
			t.Errorf("%s: the adopted hash becomes %s", encoded, again)
		}
	}
}

func TestKeycloakRefusalsExplainWithoutTheHash(t *testing.T) {
	t.Parallel()
	const value, salt = "f2yJk+Dph1FxQ+yhQ5KLmg1c5wfFtFU14dLQONYBoAE=", "c29tZXNhbHRzb21lc2FsdA=="
	const data = `{"hashIterations":1000,"algorithm":"pbkdf2-sha256"}`
	const secret = `{"value":"` + value + `","salt":"` + salt + `"}`
	changed := func(old, new string) string { return strings.Replace(argon2Data, old, new, 1) }
	for _, c := range []struct{ data, secret, problem string }{
		{"", secret, "credentialData is not the JSON"},
		{data[1:], secret, "credentialData is not the JSON"},
		{`{"hashIterations":1e99,"algorithm":"pbkdf2"}`, secret, "credentialData is not the JSON"},
		{`{"hashIterations":-1,"algorithm":"pbkdf2"}`, secret, "credentialData is not the JSON"},
		{data, "", "secretData is not the JSON"},
		{data, `"` + value + `"`, "secretData is not the JSON"},
		{data, `{"value":1` + value[:1] + `,"salt":"` + salt + `"}`, "secretData is not the JSON"},
		{data, `{"value":"*` + value + `","salt":"` + salt + `"}`, "not base64"},
		{data, `{"value":"` + value + `"}`, "the salt of the hash has 0 bytes"},
		{data, `{"salt":"` + salt + `"}`, "the hash has 0 bytes"},
		{data, `null`, "the salt of the hash has 0 bytes"},
		{`{"algorithm":"pbkdf2-sha256"}`, secret, "invalid"},
		{`{"hashIterations":99999999,"algorithm":"pbkdf2"}`, secret, "too high for a server"},
		{`{"hashIterations":1000,"algorithm":"` + value + `"}`, secret, "the algorithm of credentialData is not"},
		{`{"hashIterations":1000}`, secret, "the algorithm of credentialData is not"},
		{changed("1.3", "1.0"), secret, "the version 1.3 only"},
		{changed(`"id"`, `"d"`), secret, "the type id or i"},
		{changed(`["32"]`, `["31"]`), secret, "another length"},
		{changed(`["7168"]`, `[]`), secret, "lacks memory"},
		{changed(`["7168"]`, `["7168000"]`), secret, "too high for a server"},
		{`{"hashIterations":5,"algorithm":"argon2"}`, secret, "lacks memory"},
	} {
		encoded, err := passhash.AdoptKeycloak(c.data, c.secret)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s, %s: got %q, %v, want %q", c.data, c.secret, encoded, err, c.problem)
			continue
		}
		if strings.Contains(err.Error(), value[:8]) || strings.Contains(err.Error(), salt[:8]) {
			t.Errorf("%s, %s: the error contains the hash: %v", c.data, c.secret, err)
		}
	}
}

func FuzzAdoptKeycloak(f *testing.F) {
	for _, k := range keycloakCredentials {
		f.Add(k.data, k.secret)
	}
	f.Fuzz(func(t *testing.T, data, secret string) {
		encoded, err := passhash.AdoptKeycloak(data, secret)
		if err != nil {
			return
		}
		if again, err := passhash.Adopt(encoded); err != nil || again != encoded {
			t.Errorf("%q and %q become %q, and that %q, %v", data, secret, encoded, again, err)
		}
	})
}
