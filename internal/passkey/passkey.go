// Package passkey runs the WebAuthn ceremonies of one relying party. It writes the options of a
// creation or a sign-in, and verifies the response of the browser (WebAuthn Level 3, sections 7.1
// and 7.2). It does not know accounts and has no store. The caller creates challenges, uses each
// one once, and decides how long it is valid.
package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Timeout is how long a browser waits for the user. Browsers may ignore it, so the caller's challenge must expire,
// too.
const Timeout = 5 * time.Minute

// maxResponseBytes leaves room for certificate chains: attestations with them take a few thousand bytes.
const maxResponseBytes = 32 << 10

// ErrRejected means that a response does not prove what the ceremony requires.
var ErrRejected = errors.New("passkey rejected")

// Options describe a relying party.
type Options struct {
	RPID    string   // the domain that passkeys are bound to
	Name    string   // shown by the browser
	Origins []string // origins of the pages that may run ceremonies, as browsers write them
}

// A Party runs the ceremonies of a relying party. It is safe for concurrent use.
type Party struct {
	lib     *webauthn.WebAuthn
	origins []string
}

// New returns a Party with these options. It returns an error if the RP ID is not a domain. Browsers create no
// passkeys for IP addresses.
func New(o Options) (*Party, error) {
	if _, err := netip.ParseAddr(o.RPID); err == nil || o.RPID == "" {
		return nil, fmt.Errorf("%q is no domain: browsers create no passkeys for IP addresses", o.RPID)
	}
	verified := webauthn.TimeoutConfig{Timeout: Timeout, TimeoutUVD: Timeout}
	lib, err := webauthn.New(&webauthn.Config{
		RPID: o.RPID, RPDisplayName: o.Name, RPOrigins: o.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: verified, Registration: verified},
		// Password managers return extension outputs that were not requested. We do not read
		// them.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party of passkeys: %w", err)
	}
	return &Party{lib: lib, origins: o.Origins}, nil
}

// RPID returns the domain that passkeys are bound to.
func (p *Party) RPID() string { return p.lib.Config.RPID }

// Origins returns the origins of the pages that may run ceremonies.
func (p *Party) Origins() []string { return slices.Clone(p.origins) }

// Covers reports whether pages of an origin may use an RP ID: the host is the RP ID or a subdomain
// of it. An IP address has no subdomains.
func Covers(rpID, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || rpID == "" {
		return false
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return host == rpID
	}
	return host == rpID || strings.HasSuffix(host, "."+rpID)
}

// A Record holds the public key of a passkey and other public data about it. It is stored as JSON.
type Record struct {
	Key        []byte   `json:"key"` // COSE
	Transports []string `json:"transports,omitempty"`
	Flags      byte     `json:"flags"` // flags of the authenticator data; UV is never cleared
	AAGUID     []byte   `json:"aaguid,omitempty"`
	Format     string   `json:"format,omitempty"` // format of the attestation
	RPID       string   `json:"rpId"`

	// Handle is the user handle of an imported passkey. The installation that created the passkey has chosen it.
	// Empty: the handle of the account.
	Handle []byte `json:"handle,omitempty"`
}

// Parse reads a stored record.
func Parse(text string) (r Record, err error) {
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Record{}, fmt.Errorf("record of a passkey: %w", err)
	}
	return r, nil
}

// Text returns the record as JSON, which Parse reads.
func (r Record) Text() string {
	text, _ := json.Marshal(r) //nolint:errchkjson // can't fail: strings and bytes
	return string(text)
}

func (r Record) flags() protocol.AuthenticatorFlags { return protocol.AuthenticatorFlags(r.Flags) }

// BackupEligible reports whether the passkey can be synchronized between devices. The result is the same for the
// whole life of a passkey.
func (r Record) BackupEligible() bool { return r.flags().HasBackupEligible() }

// BackedUp reports whether the passkey was synchronized at its last use.
func (r Record) BackedUp() bool { return r.flags().HasBackupState() }

// VerifiedBefore reports whether the passkey verified the user when it was created, or in a use that was authorized
// (`uvInitialized`, see Use.Authorized).
func (r Record) VerifiedBefore() bool { return r.flags().HasUserVerified() }

// Method returns the `amr` name: swk for a passkey that can be synchronized, otherwise hwk.
func (r Record) Method() string {
	if r.BackupEligible() {
		return "swk"
	}
	return "hwk"
}

// A Credential is a passkey of a user.
type Credential struct {
	ID     []byte
	Count  uint32 // the signature counter; many authenticators keep it at zero
	Record Record
}

// EncodeID returns a credential id as browsers write it.
func EncodeID(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// DecodeID returns the credential id that EncodeID encoded.
func DecodeID(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

func (c Credential) forLibrary() webauthn.Credential {
	one := webauthn.Credential{
		ID: c.ID, PublicKey: c.Record.Key, AttestationFormat: c.Record.Format,
		Flags:         webauthn.NewCredentialFlags(c.Record.flags()),
		Authenticator: webauthn.Authenticator{AAGUID: c.Record.AAGUID, SignCount: c.Count},
	}
	for _, transport := range c.Record.Transports {
		one.Transport = append(one.Transport, protocol.AuthenticatorTransport(transport))
	}
	return one
}

// An Owner is the user of a ceremony.
type Owner struct {
	Handle      []byte // 1 to 64 bytes; must not identify the user
	Name        string // for example the email address
	DisplayName string
	Credentials []Credential
}

// The methods of webauthn.User.

func (o Owner) WebAuthnID() []byte          { return o.Handle }
func (o Owner) WebAuthnName() string        { return o.Name }
func (o Owner) WebAuthnDisplayName() string { return o.DisplayName }

// WebAuthnCredentials returns the credentials in the library's form.
func (o Owner) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, 0, len(o.Credentials))
	for _, c := range o.Credentials {
		all = append(all, c.forLibrary())
	}
	return all
}

// checkOrigin compares the origin byte by byte. The library compares scheme and host only, and
// therefore accepts an origin with a path or a user name.
func (p *Party) checkOrigin(origin string) error {
	if !slices.Contains(p.origins, origin) {
		return fmt.Errorf("%w: origin %.100q", ErrRejected, origin)
	}
	return nil
}

// wrapRejected turns every error of the library into ErrRejected, because only a wrong response causes such an error.
func wrapRejected(err error) error {
	var detailed *protocol.Error
	if errors.As(err, &detailed) {
		return fmt.Errorf("%w: %s", ErrRejected, detailed.Details)
	}
	return fmt.Errorf("%w: %w", ErrRejected, err)
}

func checkSize(response []byte) error {
	if len(response) > maxResponseBytes {
		return fmt.Errorf("%w: the response has %d bytes", ErrRejected, len(response))
	}
	return nil
}

// sessionData returns the library's form of a challenge. It sets no expiry, because the caller checks whether the
// challenge has expired.
func (p *Party) sessionData(challenge []byte) webauthn.SessionData {
	return webauthn.SessionData{Challenge: EncodeID(challenge), RelyingPartyID: p.RPID()}
}

// credentialDescriptors returns a descriptor of each passkey. It leaves out passkeys of other RP IDs, because the
// browser can't use them here.
func (p *Party) credentialDescriptors(all []Credential) (list []protocol.CredentialDescriptor) {
	for _, c := range all {
		if c.Record.RPID == p.RPID() {
			one := c.forLibrary()
			list = append(list, one.Descriptor())
		}
	}
	return list
}

func equalAndNotEmpty(a, b []byte) bool { return len(a) > 0 && bytes.Equal(a, b) }
