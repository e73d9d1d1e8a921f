package accesstoken_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

const sharedSecret = "a secret that resource servers share"

func signWithSharedSecret(header, payload string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(sharedSecret))
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func sharedHeader(k accesstoken.Key) string {
	return `{"alg":"HS256","kid":"` + k.ID() + `","typ":"at+jwt"}`
}

func TestVerifyAcceptsTokensOfGoJose(t *testing.T) {
	t.Parallel()
	for alg, wire := range map[string]jose.SignatureAlgorithm{
		accesstoken.ES256: jose.ES256, accesstoken.Ed25519: jose.EdDSA, accesstoken.RS256: jose.RS256,
		accesstoken.HS256: jose.HS256,
	} {
		k := key(t, alg)
		var private any = []byte(sharedSecret)
		if alg != accesstoken.HS256 {
			der, err := accesstoken.MarshalKey(k)
			if err != nil {
				t.Fatal(err)
			}
			if private, err = x509.ParsePKCS8PrivateKey(der); err != nil {
				t.Fatal(err)
			}
		}
		options := (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", k.ID())
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: wire, Key: private}, options)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := json.MarshalIndent(goodClaims(), " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		claims, err := accesstoken.Verify(token, finder(k), want)
		if err != nil || !reflect.DeepEqual(claims, goodClaims()) {
			t.Errorf("%s: %+v, %v", alg, claims, err)
		}
	}
}

func TestVerifyAcceptsUnusualClaims(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.HS256)
	bare := goodClaims()
	bare.Roles, bare.AMR, bare.ACR = nil, nil, ""
	odd := goodClaims()
	odd.Subject, odd.Roles = `a "quoted" \ <sub> é 😀`, []string{"", "]", `"`, "a,b"}
	odd.Audience = accesstoken.Audience{"other", want.Audience}
	odd.Extra = map[string]any{"nested": map[string]any{"sub": "eve", "list": []any{"}", 1, nil, true}}, "n": 1.5}
	for name, c := range map[string]accesstoken.Claims{"without lists": bare, "odd": odd} {
		claims, err := accesstoken.Verify(sign(t, k, c), finder(k), want)
		if err != nil || claims.Subject != c.Subject || len(claims.Roles) != len(c.Roles) ||
			len(claims.Audience) != len(c.Audience) {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
	}
}

func TestVerifyRejectsPayloadsThatAreNotStrictJSON(t *testing.T) {
	t.Parallel()
	k := key(t, accesstoken.HS256)
	good, err := json.Marshal(goodClaims())
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, payload := range map[string]string{
		"not UTF-8":           strings.Replace(text, "ada", "a\xff", 1),
		"a name twice at end": strings.Replace(text, "}", `,"sub":"eve"}`, 1),
		"extra names twice":   strings.Replace(text, "}", `,"x":1,"x":2}`, 1),
		"a comma too many":    strings.Replace(text, "}", ",}", 1),
		"not closed":          strings.TrimSuffix(text, "}"),
		"an array":            "[" + text + "]",
		"blank":               " ",
		"a byte order mark":   "\ufeff" + text,
		"roles null":          strings.Replace(text, `["admin"]`, "null", 1),
		"roles nested":        strings.Replace(text, `["admin"]`, `[["admin"]]`, 1),
		"a leading zero":      strings.Replace(text, `"exp":1`, `"exp":01`, 1),
		"an exponent":         strings.Replace(text, `"auth_time":1`, `"auth_time":1e0`, 1),
	} {
		if payload == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := accesstoken.Verify(signWithSharedSecret(sharedHeader(k), payload), finder(k), want)
		if !errors.Is(err, accesstoken.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzSignedText checks that Verify either rejects a signed text, or reads the same values as encoding/json.
func FuzzSignedText(f *testing.F) {
	k, err := accesstoken.NewHS256([]byte(sharedSecret))
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(goodClaims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sharedHeader(k), string(good))
	f.Add(sharedHeader(k), strings.Replace(string(good), "{", `{"\u0073ub":"eve", "x" : [ {"a":"\"]"} ] ,`, 1))
	f.Add(`{"alg":"none"}`, " {}\n")
	f.Add(`{"kid":"shared","typ":"application/AT+jwt","alg":"HS256"}`, string(good))
	f.Add(`{"alg":"HS256","kid":"shared","typ":"at+jwt","crit":["exp"]}`, `{"a":"\\","b":[{}],"c":-1.5e3}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		claims, err := accesstoken.Verify(signWithSharedSecret(header, payload), finder(k), want)
		if errors.Is(err, accesstoken.ErrInvalid) {
			if !reflect.DeepEqual(claims, accesstoken.Claims{}) {
				t.Fatal("claims of an invalid token were returned")
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(header), &members); err != nil || len(members) != 3 ||
			members["alg"] != "HS256" || members["kid"] != k.ID() {
			t.Fatalf("accepted the header %q", header)
		}
		members = nil
		decoder := json.NewDecoder(bytes.NewReader([]byte(payload)))
		decoder.UseNumber()
		if err := decoder.Decode(&members); err != nil {
			t.Fatalf("accepted %q: %v", payload, err)
		}
		written, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]any
		decoder = json.NewDecoder(bytes.NewReader(written))
		decoder.UseNumber()
		if err := decoder.Decode(&again); err != nil {
			t.Fatal(err)
		}
		if list, ok := members["aud"].([]any); ok && len(list) == 1 {
			members["aud"] = list[0] // Sign writes a single audience as a string
		}
		for name, value := range again {
			if !reflect.DeepEqual(members[name], value) {
				t.Fatalf("%s of %q was read as %v", name, payload, value)
			}
		}
	})
}
