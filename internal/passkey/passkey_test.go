package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/watchword-auth/watchword/internal/passkey"
)

const origin = "https://id.example.com"

var (
	challenge = bytes.Repeat([]byte("c"), 48)
	handle    = bytes.Repeat([]byte("h"), 32)
	party     = virtualwebauthn.RelyingParty{ID: "example.com", Name: "Example", Origin: origin}
)

func newParty(t testing.TB) *passkey.Party {
	t.Helper()
	p, err := passkey.New(passkey.Options{RPID: "example.com", Name: "Example", Origins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type virtualAuthenticator struct {
	auth virtualwebauthn.Authenticator
	key  virtualwebauthn.Credential
}

// newFullLengthKey returns a P-256 passkey whose coordinates have no leading zeros. The virtual authenticator drops
// leading zeros, so it would encode about one random key in a hundred incorrectly.
func newFullLengthKey() virtualwebauthn.Credential {
	for {
		key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(key.Key.AttestationData()) == 77 {
			return key
		}
	}
}

func newHolder(kind virtualwebauthn.KeyType) *virtualAuthenticator {
	auth := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: handle})
	key := newFullLengthKey()
	if kind != virtualwebauthn.KeyTypeEC2 {
		key = virtualwebauthn.NewCredential(kind)
	}
	return &virtualAuthenticator{auth, key}
}

func (h *virtualAuthenticator) create(c []byte) []byte {
	options := virtualwebauthn.AttestationOptions{Challenge: c}
	return []byte(virtualwebauthn.CreateAttestationResponse(party, h.auth, h.key, options))
}

func (h *virtualAuthenticator) use(c []byte) []byte {
	return []byte(virtualwebauthn.CreateAssertionResponse(party, h.auth, h.key,
		virtualwebauthn.AssertionOptions{Challenge: c}))
}

func newCreation() passkey.Creation {
	return passkey.Creation{Owner: passkey.Owner{Handle: handle, Name: "ada@example.com", DisplayName: "Ada"},
		Challenge: challenge}
}

func (h *virtualAuthenticator) createPasskey(t testing.TB, p *passkey.Party) passkey.Credential {
	t.Helper()
	c, err := p.Created(newCreation(), h.create(challenge))
	if err != nil {
		t.Fatal(err)
	}
	again, err := passkey.Parse(c.Record.Text())
	if err != nil || again.Text() != c.Record.Text() {
		t.Fatalf("the record %s changes: %v", c.Record.Text(), err)
	}
	return c
}

func TestOptionsAreThoseOfWebAuthnLevelThree(t *testing.T) {
	t.Parallel()
	p := newParty(t)
	here := newHolder(virtualwebauthn.KeyTypeEC2).createPasskey(t, p)
	elsewhere := passkey.Credential{ID: []byte("other")}
	here.Record.Transports, elsewhere.Record.RPID = []string{"internal", "hybrid"}, "other.example"
	c := newCreation()
	c.Owner.Credentials = []passkey.Credential{here, elsewhere}
	id := passkey.EncodeID(here.ID)
	made, err := p.CreationOptions(c)
	wantJSON(t, made, err, `{"rp":{"name":"Example","id":"example.com"},"user":{"name":"ada@example.com",
		"displayName":"Ada","id":"`+passkey.EncodeID(handle)+`"},"challenge":"`+passkey.EncodeID(challenge)+`",
		"pubKeyCredParams":[{"type":"public-key","alg":-8},{"type":"public-key","alg":-7},{"type":"public-key","alg":-257}],
		"timeout":300000,"excludeCredentials":[{"type":"public-key","id":"`+id+`","transports":["internal","hybrid"]}],
		"authenticatorSelection":{"residentKey":"preferred","userVerification":"preferred"},"attestation":"none",
		"extensions":{"credProps":true}}`)
	alone, err := p.RequestOptions(passkey.Assertion{Challenge: challenge, MustVerify: true})
	wantJSON(t, alone, err, `{"challenge":"`+passkey.EncodeID(challenge)+`","timeout":300000,"rpId":"example.com",
		"userVerification":"required"}`)
	second, err := p.RequestOptions(passkey.Assertion{Challenge: challenge, Credentials: c.Owner.Credentials})
	wantJSON(t, second, err, `{"challenge":"`+passkey.EncodeID(challenge)+`","timeout":300000,"rpId":"example.com",
		"allowCredentials":[{"type":"public-key","id":"`+id+`","transports":["internal","hybrid"]}],
		"userVerification":"preferred"}`)
}

func wantJSON(t *testing.T, got []byte, err error, want string) {
	t.Helper()
	var a, b any
	if err != nil || json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		t.Fatalf("%s: %v", got, err)
	}
	one, _ := json.Marshal(a)
	other, _ := json.Marshal(b)
	if !bytes.Equal(one, other) {
		t.Errorf("got\n%s\nwant\n%s", one, other)
	}
}

func TestBothKindsOfKeysWork(t *testing.T) {
	t.Parallel()
	p := newParty(t)
	for _, kind := range []virtualwebauthn.KeyType{virtualwebauthn.KeyTypeEC2, virtualwebauthn.KeyTypeRSA} {
		h := newHolder(kind)
		c := h.createPasskey(t, p)
		h.key.Counter = 3
		response, err := passkey.ParseResponse(h.use(challenge))
		if err != nil || !bytes.Equal(response.CredentialID(), c.ID) || !bytes.Equal(response.Challenge(), challenge) {
			t.Fatalf("%s: %v", kind, err)
		}
		for _, list := range [][]passkey.Credential{nil, {c}} {
			asked := passkey.Assertion{Challenge: challenge, Credentials: list, MustVerify: true}
			use, err := p.Verify(asked, handle, c, response)
			if err != nil || !use.Verified || use.Credential.Count != 3 || use.Credential.Record.Method() != "hwk" {
				t.Errorf("%s: %+v, %v", kind, use, err)
			}
		}
	}
}

// A creation without the presence of the user must be accepted only if the server marked it as an upgrade.
func TestOnlyAnUpgradeNeedsNoPresence(t *testing.T) {
	t.Parallel()
	p, h := newParty(t), newHolder(virtualwebauthn.KeyTypeEC2)
	h.auth.Options.UserNotPresent, h.auth.Options.UserNotVerified = true, true
	if _, err := p.Created(newCreation(), h.create(challenge)); !errors.Is(err, passkey.ErrRejected) {
		t.Errorf("without a mark: %v", err)
	}
	upgrade := newCreation()
	upgrade.Upgrade = true
	c, err := p.Created(upgrade, h.create(challenge))
	if err != nil || c.Record.VerifiedBefore() {
		t.Fatalf("an upgrade: %+v, %v", c, err)
	}
	response, err := passkey.ParseResponse(h.use(challenge))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]passkey.Credential{nil, {c}} {
		_, err = p.Verify(passkey.Assertion{Challenge: challenge, Credentials: list}, handle, c, response)
		if !errors.Is(err, passkey.ErrRejected) {
			t.Errorf("a sign-in without the user: %v", err)
		}
	}
}

func TestVerificationIsRememberedOnlyIfAuthorized(t *testing.T) {
	t.Parallel()
	p, h := newParty(t), newHolder(virtualwebauthn.KeyTypeEC2)
	h.auth.Options.UserNotVerified = true
	h.auth.Options.BackupEligible = true
	c := h.createPasskey(t, p)
	h.auth.Options.UserNotVerified, h.auth.Options.BackupState = false, true
	response, err := passkey.ParseResponse(h.use(challenge))
	if err != nil {
		t.Fatal(err)
	}
	use, err := p.Verify(passkey.Assertion{Challenge: challenge}, handle, c, response)
	if err != nil {
		t.Fatal(err)
	}
	plain, authorized := use.Credential.Record, use.Authorized().Record
	if c.Record.VerifiedBefore() || plain.VerifiedBefore() || !authorized.VerifiedBefore() {
		t.Errorf("before %v, used %v, authorized %v", c.Record, plain, authorized)
	}
	if c.Record.BackedUp() || !plain.BackedUp() || plain.Method() != "swk" {
		t.Errorf("the state of the backup is not followed: %v, %v", c.Record, plain)
	}
}

func TestPartyNeedsADomain(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "127.0.0.1", "::1", "https://example.com", "example.com:8443", "a b"} {
		if _, err := passkey.New(passkey.Options{RPID: id, Name: "x", Origins: []string{origin}}); err == nil {
			t.Errorf("RP ID %q is accepted", id)
		}
	}
	for origin, want := range map[string]bool{
		"https://example.com": true, "https://id.example.com": true, "https://id.example.com:8443": true,
		"https://notexample.com": false, "https://example.com.evil.test": false, "https://com": false,
		"": false, "%": false,
	} {
		if got := passkey.Covers("example.com", origin); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
	if passkey.Covers("0.0.1", "http://127.0.0.1") || !passkey.Covers("127.0.0.1", "http://127.0.0.1") {
		t.Error("a part of an IP address covers it")
	}
}

func TestProductNamesAreKnown(t *testing.T) {
	t.Parallel()
	id := []byte{0xba, 0xda, 0x55, 0x66, 0xa7, 0xaa, 0x40, 0x1f, 0xbd, 0x96, 0x45, 0x61, 0x9a, 0x55, 0x12, 0x0d}
	if got := passkey.ProductName(id); got != "1Password" {
		t.Errorf("got %q", got)
	}
	for _, unknown := range [][]byte{nil, make([]byte, 16), id[:15]} {
		if got := passkey.ProductName(unknown); got != "" {
			t.Errorf("%x: %q", unknown, got)
		}
	}
}

// addSeeds adds complete responses, and parts of them, to the corpus of a fuzz test.
func addSeeds(f *testing.F, response []byte) {
	f.Add(response)
	for _, part := range []string{"", "null", "{}", "[]", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`,
		strings.Repeat("[", 1000), `{"type":"public-key"}`} {
		f.Add([]byte(part))
	}
	f.Add(response[:len(response)/2])
	f.Add(append(slices.Clone(response), ' ', '{'))
}

// If Created rejects a response, the error must be ErrRejected. If Created accepts a response, the passkey must have
// an id, a key and an RP ID.
func FuzzCreated(f *testing.F) {
	h := newHolder(virtualwebauthn.KeyTypeEC2)
	addSeeds(f, h.create(challenge))
	p := newParty(f)
	f.Fuzz(func(t *testing.T, response []byte) {
		c, err := p.Created(newCreation(), response)
		switch {
		case err != nil && !errors.Is(err, passkey.ErrRejected):
			t.Errorf("got %v", err)
		case err == nil && (len(c.ID) == 0 || len(c.Record.Key) == 0 || c.Record.RPID != "example.com"):
			t.Errorf("got %+v", c)
		}
	})
}

// If Verify accepts a response, the response must contain the id of the passkey and the challenge.
func FuzzVerify(f *testing.F) {
	h := newHolder(virtualwebauthn.KeyTypeEC2)
	p := newParty(f)
	c := h.createPasskey(f, p)
	addSeeds(f, h.use(challenge))
	f.Fuzz(func(t *testing.T, response []byte) {
		parsed, err := passkey.ParseResponse(response)
		if err != nil {
			if !errors.Is(err, passkey.ErrRejected) {
				t.Errorf("got %v", err)
			}
			return
		}
		_ = parsed.Challenge()
		_, err = p.Verify(passkey.Assertion{Challenge: challenge, MustVerify: true}, handle, c, parsed)
		switch {
		case err != nil && !errors.Is(err, passkey.ErrRejected):
			t.Errorf("got %v", err)
		case err == nil && !(bytes.Equal(parsed.CredentialID(), c.ID) && bytes.Equal(parsed.Challenge(), challenge)):
			t.Errorf("accepted %s", response)
		}
	})
}
