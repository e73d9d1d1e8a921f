package passkey

import (
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// An Assertion is the ceremony that uses a passkey.
type Assertion struct {
	Challenge []byte // at least 16 bytes

	// Credentials are the passkeys that the browser may use. If the list is empty, the browser offers every passkey
	// that it has for the relying party (discoverable credentials). The response then contains the user handle.
	Credentials []Credential

	// MustVerify requires that the authenticator has verified the user, by PIN or biometry.
	MustVerify bool
}

func (r Assertion) verification() protocol.UserVerificationRequirement {
	if r.MustVerify {
		return protocol.VerificationRequired
	}
	return protocol.VerificationPreferred
}

// RequestOptions returns PublicKeyCredentialRequestOptionsJSON.
func (p *Party) RequestOptions(r Assertion) (json.RawMessage, error) {
	options, _, err := p.lib.BeginDiscoverableLogin(
		webauthn.WithChallenge(r.Challenge),
		webauthn.WithUserVerification(r.verification()),
		webauthn.WithAllowedCredentials(p.credentialDescriptors(r.Credentials)),
	)
	if err != nil {
		return nil, err
	}
	return json.Marshal(options.Response)
}

// A Response is a parsed AuthenticationResponseJSON. It is not verified yet.
type Response struct {
	parsed *protocol.ParsedCredentialAssertionData
}

// ParseResponse parses an AuthenticationResponseJSON without verifying it, so that the caller can look up the
// passkey. The error is ErrRejected.
func ParseResponse(response []byte) (Response, error) {
	if err := checkSize(response); err != nil {
		return Response{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Response{}, wrapRejected(err)
	}
	return Response{parsed}, nil
}

// CredentialID returns the id of the passkey.
func (r Response) CredentialID() []byte { return r.parsed.RawID }

// Challenge returns the challenge in the response, or nil if it is not base64url.
func (r Response) Challenge() []byte {
	challenge, err := DecodeID(r.parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil
	}
	return challenge
}

// A Use is a verified use of a passkey.
type Use struct {
	// Credential has the new counter and flags. The caller must still store the counter. If it is not higher than the
	// stored one, the caller must refuse the use, unless both are zero.
	Credential Credential

	Verified bool // the authenticator has verified the user in this ceremony
}

// Verify checks that a response proves the use of the passkey c, whose owner has this userHandle. If r.Credentials is
// empty, the response must contain the same user handle; otherwise it may lack one. The error is ErrRejected, with the
// reason.
func (p *Party) Verify(r Assertion, userHandle []byte, c Credential, response Response) (Use, error) {
	parsed := response.parsed
	if err := p.checkOrigin(parsed.Response.CollectedClientData.Origin); err != nil {
		return Use{}, err
	}
	if c.Record.RPID != p.RPID() {
		return Use{}, fmt.Errorf("%w: the passkey belongs to %q", ErrRejected, c.Record.RPID)
	}
	session := p.sessionData(r.Challenge)
	session.UserVerification = r.verification()
	owner := Owner{Handle: userHandle, Credentials: []Credential{c}}
	var done *webauthn.Credential
	var err error
	if len(r.Credentials) == 0 {
		find := func(id, given []byte) (webauthn.User, error) {
			if !equalAndNotEmpty(id, c.ID) || !equalAndNotEmpty(given, userHandle) {
				return nil, ErrRejected
			}
			return owner, nil
		}
		done, err = p.lib.ValidateDiscoverableLogin(find, session, parsed)
	} else {
		session.UserID, session.AllowedCredentialIDs = userHandle, [][]byte{c.ID}
		done, err = p.lib.ValidateLogin(owner, session, parsed)
	}
	if err != nil {
		return Use{}, wrapRejected(err)
	}
	data := parsed.Response.AuthenticatorData
	c.Count, c.Record.Flags = data.Counter, byte(done.Flags.ProtocolValue())
	return Use{Credential: c, Verified: data.Flags.HasUserVerified()}, nil
}

// Authorized returns the passkey with its new counter and flags. If the passkey verified the user in this use, the
// returned record makes VerifiedBefore true for all later uses. Therefore callers must first check another proof of
// the same user.
func (u Use) Authorized() Credential {
	c := u.Credential
	if u.Verified {
		c.Record.Flags |= byte(protocol.FlagUserVerified)
	}
	return c
}
