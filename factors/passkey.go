package factors

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passkey"
)

// Passkeys (WebAuthn). In each ceremony, the passkey signs a challenge that works once. The kind of ceremony
// determines where this challenge comes from:
//
//   - Second factor: the challenge of the sign-in itself. Its id and a MAC form the WebAuthn
//     challenge, so no other row is needed.
//   - Creation of a passkey, or step-up: a separate row, bound to the session.
//   - Sign-in without a password: an encrypted value. A page requests such a value at each view,
//     so a row is written only when the ceremony is used.
//
// A passkey proves possession. If its authenticator has verified the user, by PIN or biometrics, the passkey proves
// two factors and is enough to sign in.

// Purposes of passkey challenges.
const (
	challengeCreate watchword.ChallengePurpose = "passkey-add"
	challengeSignIn watchword.ChallengePurpose = "passkey-login"
	challengeStepUp watchword.ChallengePurpose = "step-up"

	// loginCeremony is the purpose of the WebAuthn challenge for the second step of a sign-in. The row of this step
	// has the purpose watchword.ChallengeLogin. Scripts see the WebAuthn challenge, so it must differ from the handle
	// of the row.
	loginCeremony watchword.ChallengePurpose = "login-passkey"
)

// Reasons in the events of failed sign-ins.
const (
	reasonCounter = "PASSKEY_COUNTER" // the counter did not grow, so there may be a copy of the passkey
	reasonPasskey = "PASSKEY_REJECTED"
)

// CheckRPID returns an error if passkeys can't work under an RP ID. The RP ID must be the host
// of the public URL or a parent domain.
//
// Unstable: package server calls it.
func CheckRPID(rpID, publicURL string) error {
	origin := originOf(publicURL)
	if !passkey.Covers(rpID, origin) {
		return fmt.Errorf("the RP ID of passkeys is %q: write the host of %s, or a parent domain", rpID, origin)
	}
	_, err := passkey.New(passkey.Options{RPID: rpID, Name: rpID, Origins: []string{origin}})
	return err
}

// newRelyingParty returns nil if passkeys are off or can't work.
func newRelyingParty(publicURL string, o Options) *passkey.Party {
	rpID := o.RPID
	if rpID == "" {
		rpID = hostname(publicURL)
	}
	if o.NoPasskeys || CheckRPID(rpID, publicURL) != nil {
		return nil
	}
	origins := []string{originOf(publicURL)}
	for _, origin := range o.Origins {
		if passkey.Covers(rpID, origin) && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	p, err := passkey.New(passkey.Options{RPID: rpID, Name: o.Issuer, Origins: origins})
	if err != nil {
		return nil
	}
	return p
}

// originOf returns "" for an invalid URL.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func hostname(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Passkeys reports whether passkeys are on.
//
// Unstable: package server calls it.
func (m *Manager) Passkeys() bool { return m.passkeys != nil }

// Origins returns the origins that can use passkeys, or nil if passkeys are off.
//
// Unstable: package server calls it.
func (m *Manager) Origins() []string {
	if m.passkeys == nil {
		return nil
	}
	return m.passkeys.Origins()
}

func passkeysOff() error {
	return refuse(watchword.CodeNotFound, "Passkeys are off at this service.")
}

func passkeyWrong() *watchword.Error {
	return refuse(watchword.CodeFactorWrong, "This passkey was not accepted. Try again, or use another way to sign in.")
}

// userHandle returns the WebAuthn user handle of an account. The handle does not reveal the id.
func (m *Manager) userHandle(id watchword.UserID) []byte {
	mac := hmac.New(sha256.New, m.engine.MACSecret(watchword.KeyPasskey))
	mac.Write([]byte(id))
	return mac.Sum(nil)
}

// passkeyUserHandle returns the handle of the earlier installation for an imported passkey.
func (m *Manager) passkeyUserHandle(f Factor) []byte {
	if record, err := passkey.Parse(f.Record); err == nil && len(record.Handle) > 0 {
		return record.Handle
	}
	return m.userHandle(f.UserID)
}

func (f Factor) credential() (passkey.Credential, error) {
	id, err := passkey.DecodeID(f.CredentialID)
	if err != nil {
		return passkey.Credential{}, fmt.Errorf("credential id of factor %s: %w", f.ID, err)
	}
	record, err := passkey.Parse(f.Record)
	return passkey.Credential{ID: id, Count: uint32(f.Counter), Record: record}, err //nolint:gosec // stored as uint32
}

// BackedUp reports whether a passkey was synchronized between devices at its last use.
//
// Unstable: package server calls it.
func (f Factor) BackedUp() bool {
	record, err := passkey.Parse(f.Record)
	return err == nil && record.BackedUp()
}

// Product returns the name of the product that created a passkey, or "" if the authenticator does not identify its
// product.
//
// Unstable: for the program watchword.
func (f Factor) Product() string {
	record, err := passkey.Parse(f.Record)
	if err != nil {
		return ""
	}
	return passkey.ProductName(record.AAGUID)
}

// withCredential returns the factor with the counter and the record of the credential c.
func (f Factor) withCredential(c passkey.Credential) Factor {
	f.CredentialID, f.Record, f.Counter = passkey.EncodeID(c.ID), c.Record.Text(), int64(c.Count)
	return f
}

func passkeyCredentials(all []Factor) (list []passkey.Credential, err error) {
	for _, f := range all {
		if f.Kind != KindPasskey {
			continue
		}
		c, err := f.credential()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// A Signal tells a browser which passkeys of an account exist. Ids are in base64url.
//
// Unstable: package server calls it.
type Signal struct {
	RPID        string
	UserHandle  string
	Credentials []string
}

// Signal returns the passkeys among the factors of an account, or nil if passkeys are off.
//
// Unstable: package server calls it.
func (m *Manager) Signal(id watchword.UserID, all []Factor) *Signal {
	if m.passkeys == nil {
		return nil
	}
	s := &Signal{RPID: m.passkeys.RPID(), UserHandle: passkey.EncodeID(m.userHandle(id))}
	for _, f := range all {
		if f.Kind == KindPasskey {
			s.Credentials = append(s.Credentials, f.CredentialID)
		}
	}
	return s
}

// checkPasskey verifies the passkey of a second step or a step-up. If the passkey is rejected, checkPasskey counts a
// failed attempt.
func (m *Manager) checkPasskey(
	ctx context.Context, t watchword.FactorTry, all []Factor, p Proof,
) (verifiedProof, error) {
	proven, err := m.matchPasskey(all, p)
	if errors.Is(err, passkey.ErrRejected) {
		err = m.engine.Failed(ctx, t, passkeyWrong(), reasonPasskey)
	}
	return proven, err
}

// matchPasskey verifies the response of a passkey, but does not write to the store.
func (m *Manager) matchPasskey(all []Factor, p Proof) (verifiedProof, error) {
	if m.passkeys == nil {
		return verifiedProof{}, passkey.ErrRejected
	}
	response, err := passkey.ParseResponse(p.Passkey)
	if err != nil {
		return verifiedProof{}, err
	}
	id := passkey.EncodeID(response.CredentialID())
	at := slices.IndexFunc(all, func(f Factor) bool { return f.Kind == KindPasskey && f.CredentialID == id })
	if at < 0 {
		return verifiedProof{}, passkey.ErrRejected
	}
	c, err := all[at].credential()
	if err != nil {
		return verifiedProof{}, err
	}
	request := passkey.Assertion{Challenge: []byte(p.ceremony), Credentials: []passkey.Credential{c}}
	use, err := m.passkeys.Verify(request, m.passkeyUserHandle(all[at]), c, response)
	if err != nil {
		return verifiedProof{}, err
	}
	factor := all[at].withCredential(use.Authorized())
	if factor.Unproven && !use.Verified {
		return verifiedProof{}, passkey.ErrRejected
	}
	return verifiedProof{method: c.Record.Method(), userVerified: use.Verified, factor: factor}, nil
}

// consumePasskey stores the new counter of the passkey. It reports false if another request has used this counter.
//
// A passkey that a browser added without being asked ("upgraded") is not a second factor at first. Its first use with
// user verification makes it one, if the address of the account is proven (recordFirstPasskey). The caller has locked
// the account.
func (c verifiedProof) consumePasskey(ctx context.Context, tx Tx, now time.Time) (bool, error) {
	f := c.factor
	if f.Unproven && c.userVerified {
		owner, err := tx.User(ctx, f.UserID)
		if err != nil {
			return false, err
		}
		f.Unproven = !owner.Verified()
	}
	used, err := tx.ClaimCount(ctx, f, now)
	if err != nil || !used || f.Unproven == c.factor.Unproven {
		return used, err
	}
	return true, tx.CountFactors(ctx, f.UserID, now)
}

// Offer adds to an error the factors with which the client can continue. To CodeSecondFactorRequired, it adds the
// account's kinds of factors, and the options of a ceremony with the account's passkeys. To CodeEnrolmentRequired, it
// adds the kinds that can be the first factor. It returns all other errors unchanged.
//
// Unstable: package server calls it.
func (m *Manager) Offer(ctx context.Context, refused error) error {
	var refusal *watchword.Error
	if !errors.As(refused, &refusal) {
		return refused
	}
	switch refusal.Code {
	case watchword.CodeSecondFactorRequired:
	case watchword.CodeEnrolmentRequired:
		return m.offerFirstFactorKinds(refusal)
	default:
		return refused
	}
	id, err := m.engine.ChallengeID(refusal.Challenge.Handle, watchword.ChallengeLogin)
	if err != nil {
		return err
	}
	all, err := m.challengeFactors(ctx, refusal.Challenge, id)
	if err != nil {
		return err
	}
	offer := *refusal.Challenge
	offer.Methods, offer.RememberFor = nil, m.engine.RememberFor()
	if slices.ContainsFunc(all, func(f Factor) bool { return f.Kind == KindTOTP }) {
		offer.Methods = append(offer.Methods, string(KindTOTP))
	}
	if offer.Passkey, err = m.passkeyRequestOptions(all, m.engine.Handle(loginCeremony, id)); err != nil {
		return err
	}
	if offer.Passkey != nil {
		offer.Methods = append(offer.Methods, string(KindPasskey))
	}
	offer.Methods = append(offer.Methods, amr.Recovery)
	completed := *refusal
	completed.Challenge = &offer
	return &completed
}

// challengeFactors returns the factors of the challenged account. If this request created the challenge, the error
// already contains them. Otherwise challengeFactors reads them, because the page of the second step has only the
// handle. A concurrent change of the factors makes the challenge invalid, so an outdated list grants no access.
func (m *Manager) challengeFactors(
	ctx context.Context, o *watchword.ChallengeOffer, id string,
) (all []Factor, err error) {
	if offered := m.engine.Offered(o); offered != nil {
		for _, f := range offered {
			all = append(all, Factor{Kind: Kind(f.Kind), CredentialID: f.CredentialID, Record: f.Record})
		}
		return all, nil
	}
	err = m.store.View(ctx, func(tx Tx) error {
		c, err := tx.Challenge(ctx, id, watchword.ChallengeLogin, m.engine.Now())
		if err != nil {
			return err
		}
		all, err = tx.Factors(ctx, c.UserID)
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = challengeInvalid()
	}
	return all, err
}

// offerFirstFactorKinds adds the kinds of factors that can be the first factor of an account.
func (m *Manager) offerFirstFactorKinds(refusal *watchword.Error) error {
	completed, offer := *refusal, *refusal.Challenge
	if m.passkeys != nil {
		offer.Methods = append(slices.Clone(offer.Methods), string(KindPasskey))
	}
	completed.Challenge = &offer
	return &completed
}

// passkeyRequestOptions returns nil if no passkey among the factors has the current RP ID.
func (m *Manager) passkeyRequestOptions(all []Factor, ceremony watchword.Secret) (json.RawMessage, error) {
	if m.passkeys == nil {
		return nil, nil
	}
	list, err := passkeyCredentials(all)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c passkey.Credential) bool { return c.Record.RPID != m.passkeys.RPID() })
	if len(list) == 0 {
		return nil, nil
	}
	return m.passkeys.RequestOptions(passkey.Assertion{Challenge: []byte(ceremony), Credentials: list})
}
