package passkey

import (
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// A Creation is the ceremony that creates a passkey.
type Creation struct {
	Owner     Owner
	Challenge []byte // at least 16 bytes

	// Upgrade marks a creation that the browser may do without asking the user, after a sign-in
	// with a password. User presence is then not required. The mark must come from the server:
	// otherwise any client could switch the presence check off.
	Upgrade bool
}

// CreationOptions returns PublicKeyCredentialCreationOptionsJSON. It excludes the owner's passkeys, so that an
// authenticator does not create a second passkey for the owner.
func (p *Party) CreationOptions(c Creation) (json.RawMessage, error) {
	options, _, err := p.lib.BeginMediatedRegistration(c.Owner, c.mediation(),
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		webauthn.WithExclusions(p.credentialDescriptors(c.Owner.Credentials)),
		webauthn.WithConveyancePreference(protocol.PreferNoAttestation),
		// A resident key and user verification are preferred, but not required. Therefore a security key without
		// space for a resident key or without a PIN still works as a second factor.
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		}),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge, o.Extensions.CredProps = c.Challenge, true
			return nil
		},
	)
	if err != nil {
		return nil, err
	}
	return json.Marshal(options.Response)
}

func (c Creation) mediation() protocol.CredentialMediationRequirement {
	if c.Upgrade {
		return protocol.MediationConditional
	}
	return protocol.MediationDefault
}

// Created verifies a RegistrationResponseJSON and returns the new passkey. The error is
// ErrRejected, with the reason.
func (p *Party) Created(c Creation, response []byte) (Credential, error) {
	if err := checkSize(response); err != nil {
		return Credential{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Credential{}, wrapRejected(err)
	}
	if err := p.checkOrigin(parsed.Response.CollectedClientData.Origin); err != nil {
		return Credential{}, err
	}
	session := p.sessionData(c.Challenge)
	session.UserID, session.Mediation = c.Owner.Handle, c.mediation()
	session.CredParams = webauthn.CredentialParametersRecommendedL3()
	session.UserVerification = protocol.VerificationPreferred
	made, err := p.lib.CreateCredential(c.Owner, session, parsed)
	if err != nil {
		return Credential{}, wrapRejected(err)
	}
	record := Record{
		Key: made.PublicKey, Flags: byte(made.Flags.ProtocolValue()), AAGUID: made.Authenticator.AAGUID,
		Format: made.AttestationFormat, RPID: p.RPID(),
	}
	for _, transport := range made.Transport {
		if isKnownTransport(transport) {
			record.Transports = append(record.Transports, string(transport))
		}
	}
	return Credential{ID: made.ID, Count: made.Authenticator.SignCount, Record: record}, nil
}

// isKnownTransport accepts the transports of the specification. Others are not stored, because the response may
// contain any text.
func isKnownTransport(t protocol.AuthenticatorTransport) bool {
	switch t {
	case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
		return true
	}
	return false
}
