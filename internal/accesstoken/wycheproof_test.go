package accesstoken_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// wycheproofFile follows json_web_signature_schema_v1.json of Project Wycheproof.
type wycheproofFile struct {
	TestGroups []struct {
		Comment         string
		Public, Private json.RawMessage // JWK; Public is missing for HS256
		Tests           []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     string
			Result  string
		}
	}
}

// deviatesFromLabel reports whether this package must reject a vector labelled valid, or accept one labelled invalid.
func deviatesFromLabel(file string, id int) bool {
	if file != "json_web_signature_test.json" {
		return false
	}
	switch id {
	case 259: // "valid" with an empty payload, which has no claims
		return true
	case 372, 373: // "valid" with a "?", which is not base64url (RFC 7515, section 2)
		return true
	case 367, 370: // "invalid" because of padding, but the text has none and is well-formed
		return true
	}
	return false
}

// JWT-1, JWT-2, JWT-5
func TestWycheproofVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/wycheproof/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors: %v", err)
	}
	accepted, refused := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all wycheproofFile
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for _, group := range all.TestGroups {
			k, supported := parseVectorKey(t, group.Public, group.Private)
			for _, test := range group.Tests {
				got := supported && accesstoken.Signed(test.JWS, k)
				if wanted := supported &&
					test.Result == "valid" != deviatesFromLabel(filepath.Base(file), test.ID); got != wanted {
					t.Errorf("%s %d (%s, %s): accepted %t", filepath.Base(file), test.ID, group.Comment, test.Comment,
						got)
				}
				if got {
					accepted++
				} else {
					refused++
				}
				late := want
				late.Now = time.Now()
				if _, err := accesstoken.Verify(test.JWS, finder(k), late); err != accesstoken.ErrInvalid {
					t.Errorf("%s %d is accepted as an access token: %v", filepath.Base(file), test.ID, err)
				}
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 10 || refused < 300 {
		t.Errorf("only %d were accepted and %d refused: are the vectors read?", accepted, refused)
	}
}

// parseVectorKey reports false for a key that this package does not support.
func parseVectorKey(t *testing.T, public, private json.RawMessage) (accesstoken.Key, bool) {
	t.Helper()
	if public == nil {
		var jwk struct{ Alg, K string }
		if err := json.Unmarshal(private, &jwk); err != nil {
			t.Fatal(err)
		}
		secret, err := base64.RawURLEncoding.DecodeString(jwk.K)
		if err != nil {
			t.Fatal(err)
		}
		k, err := accesstoken.NewHS256(secret)
		return k, err == nil && jwk.Alg == accesstoken.HS256
	}
	keys, err := accesstoken.ParseJWKS([]byte(`{"keys":[` + string(public) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		return k, true
	}
	return accesstoken.Key{}, false
}
