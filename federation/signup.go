package federation

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/watchword-auth/watchword"
)

// These flows handle a sign-in with an address that the provider does not guarantee. The browser gets the same page
// whether or not the address has an account.
//
// The sign-up is stored with the identity instead of a password, and a link is mailed to the address. The page of the
// link offers to continue with the provider. When the user signs in with the same identity again, the account is
// created.

// A waitingIdentity is the identity of a sign-up that waits for its mailed link. It is sealed in the row of the
// sign-up, next to the name.
type waitingIdentity struct {
	Provider string `json:"provider"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
}

// startWaitingSignUp stores the sign-up until the user proves the address. If the address already has an account, it
// sends the owner a mail instead.
func (m *Manager) startWaitingSignUp(ctx context.Context, s verifiedResponse, res *Result) error {
	if s.newAccount.Email == "" {
		return &Failure{Provider: s.info.ID, Reason: ReasonNoAddress,
			Refusal: refuse(CodeProviderRefused, s.info.Name+" reported no email address that can be used here. "+
				"Confirm your address there and allow access to it, or sign in in another way."),
			Cause: errors.New("it reports no address that an account can have: see its scopes")}
	}
	plain, err := json.Marshal(waitingIdentity{s.info.ID, s.claims.Issuer, s.claims.Subject})
	if err != nil {
		return err
	}
	client := s.client
	client.ReturnTo = s.attempt.ReturnTo
	if err := m.engine.WaitForProof(ctx, s.newAccount, plain, client, s.at); err != nil {
		return err
	}
	res.Waiting = true
	return nil
}

// readMailedLink reads the mailed link of an attempt with purposeVerify. The new account gets the address of the
// link, even if the provider now reports a different address or no address.
func (m *Manager) readMailedLink(ctx context.Context, s *verifiedResponse) error {
	link, waiting, err := m.engine.OpenVerifyLink(ctx, watchword.Secret(s.attempt.Mailed), s.at)
	if err != nil {
		return err
	}
	s.facts.isAddressVouched = s.facts.isAddressVouched && s.newAccount.Email == link.Email
	claims := s.claims
	claims.Email = string(link.Email)
	s.mailToken = link
	s.newAccount, _ = m.accountFromClaims(claims)
	for _, one := range waiting {
		identity, err := m.openWaitingIdentity(one)
		if err != nil {
			return err
		}
		if identity.Issuer == s.claims.Issuer && identity.Subject == s.claims.Subject {
			s.facts.signUpWaits = true
		}
	}
	return nil
}

// openWaitingIdentity returns the identity with which a sign-up began. It returns the zero value if the sign-up began
// with a password.
func (m *Manager) openWaitingIdentity(s watchword.Signup) (w waitingIdentity, err error) {
	plain, err := m.engine.SignupIdentity(s)
	if err != nil || len(plain) == 0 {
		return w, nil // a password, or an identity sealed under another master key
	}
	return w, json.Unmarshal(plain, &w)
}

// StartVerify begins a sign-in at a provider. After its success, the sign-up whose mailed link has this token is
// complete. Codes: CodeNotFound, CodeMailTokenInvalid, CodeSignupClosed, CodeProviderUnavailable.
func (m *Manager) StartVerify(ctx context.Context, r StartRequest, token watchword.Secret) (Started, error) {
	if _, _, err := m.engine.OpenVerifyLink(ctx, token, m.engine.Now()); err != nil {
		return Started{}, err
	}
	return m.start(ctx, Attempt{Provider: r.Provider, Purpose: purposeVerify, Mailed: string(token),
		ReturnTo: r.ReturnTo, Page: r.Page, Replaces: string(r.Replaces), Device: string(r.Remembered)})
}
