package factors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passkey"
)

// The sign-in with a passkey alone:
//
//  1. The options are the same for all users, so they reveal no account.
//  2. The ceremony is decrypted. A ceremony that is forged, expired or of another RP ID costs no
//     query.
//  3. The request is counted against the client's rate limit, and the passkey is found by its id.
//  4. The response is verified. Its user handle must belong to the account. The authenticator must
//     have verified the user, so a security key that was lost is not enough to sign in.
//  5. One transaction marks the ceremony as used, opens the session and stores the counter. If the
//     passkey was copied and the copy was used, the counter is too low, and the sign-in fails.

const signInCeremonyLife = passkey.Timeout

// A signInCeremony is sealed in Ceremony.ID of a sign-in without a password.
type signInCeremony struct {
	ID   string    `json:"id"`
	RPID string    `json:"rpId"`
	At   time.Time `json:"at"`
}

const signInContext = "ceremony/passkey-login"

// PasskeyOptions begins a sign-in with a passkey alone. Codes: CodeNotFound (passkeys are off),
// CodeRateLimited.
//
// Unstable: package server calls it.
func (m *Manager) PasskeyOptions(ctx context.Context, c watchword.Client) (Ceremony, error) {
	if m.passkeys == nil {
		return Ceremony{}, passkeysOff()
	}
	now := m.engine.Now()
	if err := m.engine.ChargePasskey(ctx, "options", c, now); err != nil {
		return Ceremony{}, err
	}
	begun := signInCeremony{newID(), m.passkeys.RPID(), now}
	plain, err := json.Marshal(begun)
	if err != nil {
		return Ceremony{}, err
	}
	sealed := base64.RawURLEncoding.EncodeToString(m.engine.Seal(signInContext, plain))
	options, err := m.passkeys.RequestOptions(m.signInRequest(begun))
	return Ceremony{ID: watchword.Secret(sealed), Options: options}, err
}

func (m *Manager) signInRequest(c signInCeremony) passkey.Assertion {
	return passkey.Assertion{Challenge: []byte(m.engine.Handle(challengeSignIn, c.ID)), MustVerify: true}
}

// openCeremony decrypts a ceremony. It returns an error if the ceremony has expired or belongs to a different RP ID.
func (m *Manager) openCeremony(sealed watchword.Secret, now time.Time) (c signInCeremony, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(sealed))
	if err != nil {
		return c, challengeInvalid()
	}
	plain, err := m.engine.Open(signInContext, raw)
	if err != nil {
		return c, challengeInvalid()
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, err
	}
	if now.Sub(c.At) >= signInCeremonyLife || c.RPID != m.passkeys.RPID() {
		return c, challengeInvalid()
	}
	return c, nil
}

// A PasskeyLoginRequest signs in with a passkey alone.
//
// Unstable: package server calls it.
type PasskeyLoginRequest struct {
	Ceremony   watchword.Secret // Ceremony.ID that PasskeyOptions returned
	Credential []byte           // AuthenticationResponseJSON
	Persistent bool             // as in watchword.LoginRequest
	Client     watchword.Client
	Replaces   watchword.Secret // as in watchword.LoginRequest
}

// ErrPasskeyUnknown is in the chain of the error for a passkey that no account has. The browser can then delete the
// passkey. An error for a passkey that an account has does not contain it.
//
// Unstable: package server calls it.
var ErrPasskeyUnknown = errors.New("no account has this passkey")

func unknownPasskey() *watchword.Error {
	return refuse(watchword.CodeInvalidCredentials, "This passkey is not valid here. Sign in in another way.")
}

// PasskeyLogin opens the session of the passkey's owner. Codes: CodeNotFound (passkeys are off),
// CodeChallengeInvalid, CodeInvalidCredentials, CodeRateLimited, CodeAccountDisabled,
// CodeEmailNotVerified.
//
// Unstable: package server calls it.
func (m *Manager) PasskeyLogin(ctx context.Context, r PasskeyLoginRequest) (*watchword.SignIn, error) {
	if m.passkeys == nil {
		return nil, passkeysOff()
	}
	now := m.engine.Now()
	ceremony, err := m.openCeremony(r.Ceremony, now)
	if err != nil {
		return nil, err
	}
	response, err := passkey.ParseResponse(r.Credential)
	if err != nil {
		return nil, unknownPasskey()
	}
	factor, user, err := m.findPasskey(ctx, response, r.Client, now)
	if err != nil {
		return nil, err
	}
	try := watchword.FactorTry{User: user, Kind: string(KindPasskey), Client: r.Client, At: now}
	proven, err := m.verifySignInPasskey(ceremony, factor, response)
	if errors.Is(err, passkey.ErrRejected) {
		return nil, m.engine.Failed(ctx, try, unknownPasskey(), reasonPasskey)
	}
	if err != nil {
		return nil, err
	}
	started, err := m.engine.Begin(ctx, user, watchword.AdmitRequest{
		Methods: proven.amrValues(), Persistent: r.Persistent, Client: r.Client, Replaces: r.Replaces}, now)
	if err != nil {
		return nil, err
	}
	admitted, used, err := m.openPasskeySession(ctx, ceremony, started, proven)
	if errors.Is(err, errProofUsed) {
		return nil, m.engine.Failed(ctx, try, unknownPasskey(), reasonCounter)
	}
	if err != nil {
		return nil, err
	}
	m.engine.Announce(used...)
	return m.engine.IssueTokens(admitted)
}

// findPasskey counts the request against the client's rate limit, and returns the passkey and its owner.
func (m *Manager) findPasskey(
	ctx context.Context, r passkey.Response, c watchword.Client, now time.Time,
) (f Factor, u watchword.User, err error) {
	if err := m.engine.ChargePasskey(ctx, "login", c, now); err != nil {
		return f, u, err
	}
	err = m.store.View(ctx, func(tx Tx) error {
		if f, err = tx.FactorByCredential(ctx, passkey.EncodeID(r.CredentialID())); err != nil {
			return err
		}
		u, err = tx.User(ctx, f.UserID)
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = fmt.Errorf("%w: %w", unknownPasskey(), ErrPasskeyUnknown)
	}
	return f, u, err
}

// signsInAlone reports whether a use of the passkey with user verification is enough to sign in. The authenticator
// must have verified the user before, at the creation or together with the password. Otherwise a thief of a security
// key could set its PIN and sign in.
//
// A passkey from an automatic upgrade is enough, too. It was created without a dialog, in the account's own password
// manager.
func (f Factor) signsInAlone() bool {
	if f.Kind != KindPasskey {
		return false
	}
	record, err := passkey.Parse(f.Record)
	return err == nil && (f.Unproven || record.VerifiedBefore())
}

func (m *Manager) verifySignInPasskey(c signInCeremony, f Factor, r passkey.Response) (verifiedProof, error) {
	credential, err := f.credential()
	if err != nil {
		return verifiedProof{}, err
	}
	use, err := m.passkeys.Verify(m.signInRequest(c), m.passkeyUserHandle(f), credential, r)
	if err != nil {
		return verifiedProof{}, err
	}
	if !use.Verified || !f.signsInAlone() {
		return verifiedProof{}, passkey.ErrRejected
	}
	return verifiedProof{method: credential.Record.Method(), userVerified: true,
		factor: f.withCredential(use.Authorized())}, nil
}

// openPasskeySession marks the ceremony as used and opens the session, in one transaction.
func (m *Manager) openPasskeySession(
	ctx context.Context, c signInCeremony, r watchword.Resumed, proven verifiedProof,
) (admitted watchword.Admitted, used []watchword.Event, err error) {
	spent := watchword.Challenge{ID: c.ID, Purpose: challengeSignIn, UserID: r.User().ID, Sealed: []byte{},
		CreatedAt: c.At, ExpiresAt: c.At.Add(signInCeremonyLife)}
	err = m.store.Update(ctx, func(tx Tx) error {
		fresh, err := tx.ConsumeChallenge(ctx, spent)
		if err == nil && !fresh {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		if admitted, err = m.engine.Admit(ctx, tx, r); err != nil {
			return err
		}
		claimed, err := proven.consume(ctx, tx, r.User(), r.At())
		if err == nil && !claimed {
			err = errProofUsed
		}
		if err != nil {
			return err
		}
		event := m.engine.Event("", r.User(), admitted.Session(), r.Client(), r.At())
		used, err = m.recordProofUse(ctx, tx, r.User(), proven, event)
		return err
	})
	return admitted, used, err
}

// StepUpOptions begins a step-up with a passkey. Codes: CodeNotFound (the account has no
// passkey that works here).
//
// Unstable: package server calls it.
func (m *Manager) StepUpOptions(ctx context.Context, who watchword.Identity) (Ceremony, error) {
	now := m.engine.Now()
	var options json.RawMessage
	err := m.store.Update(ctx, func(tx Tx) error {
		all, err := tx.Factors(ctx, who.User.ID)
		if err != nil {
			return err
		}
		challenge, handle := m.engine.NewChallenge(challengeStepUp, who.User, who.Session.ID, nil, now)
		if options, err = m.passkeyRequestOptions(all, handle); err != nil {
			return err
		}
		if options == nil {
			return refuse(watchword.CodeNotFound, "This account has no passkey that works here.")
		}
		return tx.InsertSessionChallenge(ctx, challenge, maxPendingPerSession)
	})
	return Ceremony{Options: options}, err
}

// stepUpCeremony reads the id and the handle from the response of the passkey.
func (m *Manager) stepUpCeremony(given []byte) (id string, handle watchword.Secret, err error) {
	response, err := passkey.ParseResponse(given)
	if err != nil {
		return "", "", passkeyWrong()
	}
	handle = watchword.Secret(response.Challenge())
	id, err = m.engine.ChallengeID(handle, challengeStepUp)
	return id, handle, err
}

// countStepUpAttempt counts an attempt on a ceremony, which must belong to the session. A step-up without a passkey
// has no ceremony: id is empty.
func (m *Manager) countStepUpAttempt(
	ctx context.Context, tx Tx, id string, who watchword.Identity, now time.Time,
) error {
	if id == "" {
		return nil
	}
	c, err := m.countAttempt(ctx, tx, id, challengeStepUp, now)
	if err == nil && c.SessionID != who.Session.ID {
		err = challengeInvalid()
	}
	return err
}

// consumeInSession uses up the proof of a step-up. If a passkey alone has opened the session, the passkey of the
// step-up must verify the user again.
func (m *Manager) consumeInSession(
	ctx context.Context, tx Tx, u watchword.User, s watchword.Session, proven verifiedStepUp,
) error {
	if proven.ceremonyID != "" {
		taken, err := tx.TakeChallenge(ctx, proven.ceremonyID, challengeStepUp, proven.at)
		if err == nil && !taken {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		if !proven.userVerified && !amr.HasFirst(s.Methods) {
			return errProofUsed
		}
	}
	fresh, err := proven.consume(ctx, tx, u, proven.at)
	if err == nil && !fresh {
		err = errProofUsed
	}
	return err
}
