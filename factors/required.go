package factors

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
)

// These flows add the first factor of an account that must have one (Options.SecondFactor of the engine). The right
// password does not open a session, but returns a challenge. The confirmation of the factor completes that sign-in.
// The user can't skip this step.

// BeginRequired creates a secret for a sign-in that waits for its first factor. The handle comes
// from the error with CodeEnrolmentRequired. The call counts as an attempt on that
// challenge. Codes: CodeNotFound (enrolment is off), CodeChallengeInvalid, CodeEmailNotVerified.
//
// Unstable: package server calls it.
func (m *Manager) BeginRequired(ctx context.Context, handle watchword.Secret, name string) (Enrolment, error) {
	entry, err := m.engine.ChallengeID(handle, watchword.ChallengeEnrol)
	if err != nil {
		return Enrolment{}, err
	}
	authorize := func(tx Tx, now time.Time) (u watchword.User, id watchword.SessionID, err error) {
		c, err := m.claimWaitingSignIn(ctx, tx, entry, KindTOTP, now)
		return c.user, "", err
	}
	return m.beginTOTP(ctx, pendingTOTP{Name: name, Entry: entry}, authorize)
}

// claimWaitingSignIn counts an attempt on a sign-in that waits for its first factor. It returns the account and its
// factors, which can only be passkeys from automatic upgrades. Codes: CodeChallengeInvalid, CodeEmailNotVerified,
// CodeFactorLimit.
func (m *Manager) claimWaitingSignIn(
	ctx context.Context, tx Tx, challengeID string, k Kind, now time.Time,
) (c passkeyOwner, err error) {
	claimed, err := m.countAttempt(ctx, tx, challengeID, watchword.ChallengeEnrol, now)
	if err != nil {
		return c, err
	}
	if c.user, err = tx.User(ctx, claimed.UserID); err != nil {
		return c, m.notFoundToChallengeInvalid(err)
	}
	if !c.user.FactorsChangedAt.Equal(claimed.FactorsChangedAt) {
		return c, challengeInvalid() // another sign-in has added the first factor
	}
	if c.factors, err = tx.Factors(ctx, c.user.ID); err != nil {
		return c, err
	}
	if refusal := checkAddition(c.user, c.factors, k); refusal != nil {
		return c, refusal
	}
	return c, nil
}

// BeginRequiredPasskey begins the creation of a passkey for a sign-in that waits for its first factor, as BeginRequired
// does for an app. Codes: CodeNotFound (passkeys are off), CodeChallengeInvalid, CodeEmailNotVerified,
// CodeFactorLimit.
//
// Unstable: package server calls it.
func (m *Manager) BeginRequiredPasskey(ctx context.Context, handle watchword.Secret) (Ceremony, error) {
	entry, err := m.engine.ChallengeID(handle, watchword.ChallengeEnrol)
	if err != nil {
		return Ceremony{}, err
	}
	authorize := func(tx Tx, now time.Time) (c passkeyOwner, err error) {
		return m.claimWaitingSignIn(ctx, tx, entry, KindPasskey, now)
	}
	return m.beginPasskey(ctx, pendingPasskey{Entry: entry}, authorize)
}

// A RequiredRequest confirms the first factor and completes the sign-in.
//
// Unstable: package server calls it.
type RequiredRequest struct {
	Handle   watchword.Secret // the handle in the error with CodeEnrolmentRequired
	ID       string           // Enrolment.ID
	Code     watchword.Secret
	Client   watchword.Client
	Replaces watchword.Secret // as in LoginRequest
}

// ConfirmRequired adds the first factor and opens the session of the sign-in, in one transaction. Codes:
// CodeChallengeInvalid, CodeFactorWrong, CodeAccountDisabled, CodeEmailNotVerified.
//
// Unstable: package server calls it.
func (m *Manager) ConfirmRequired(ctx context.Context, r RequiredRequest) (Confirmation, *watchword.SignIn, error) {
	refused := func(err error) (Confirmation, *watchword.SignIn, error) { return Confirmation{}, nil, err }
	entry, err := m.engine.ChallengeID(r.Handle, watchword.ChallengeEnrol)
	if err != nil {
		return refused(err)
	}
	belongsToRequest := func(_ watchword.Challenge, p pendingTOTP) bool { return p.Entry == entry }
	challenge, f, err := m.confirmTOTPCode(ctx, r.ID, r.Code, m.engine.Now(), belongsToRequest)
	if err != nil {
		return refused(err)
	}
	return m.addFirstFactor(ctx, entry, confirmedFactor{challenge, f, []string{"otp"}},
		watchword.AdmitRequest{Client: r.Client, Replaces: r.Replaces})
}

// A RequiredPasskey adds a passkey as first factor and completes the sign-in.
//
// Unstable: package server calls it.
type RequiredPasskey struct {
	Handle watchword.Secret // the handle in the error with CodeEnrolmentRequired
	NewPasskey
	Client   watchword.Client
	Replaces watchword.Secret // as in LoginRequest
}

// ConfirmRequiredPasskey adds the passkey of a creation and opens the session of the sign-in, in one transaction.
// Codes: those of ConfirmPasskey, CodeAccountDisabled, CodeEmailNotVerified.
//
// Unstable: package server calls it.
func (m *Manager) ConfirmRequiredPasskey(
	ctx context.Context, r RequiredPasskey,
) (Confirmation, *watchword.SignIn, error) {
	entry, err := m.engine.ChallengeID(r.Handle, watchword.ChallengeEnrol)
	if err != nil {
		return Confirmation{}, nil, err
	}
	belongsToRequest := func(_ watchword.Challenge, p pendingPasskey) bool { return p.Entry == entry }
	made, err := m.confirmCreation(ctx, r.NewPasskey, r.Client.Device, m.engine.Now(), belongsToRequest)
	if err != nil {
		return Confirmation{}, nil, err
	}
	return m.addFirstFactor(ctx, entry, made, watchword.AdmitRequest{Client: r.Client, Replaces: r.Replaces})
}

// addFirstFactor stores the first factor, and opens the session of the waiting sign-in, in one transaction. It reads
// only the fields Client and Replaces of r.
func (m *Manager) addFirstFactor(
	ctx context.Context, challengeID string, e confirmedFactor, r watchword.AdmitRequest,
) (Confirmation, *watchword.SignIn, error) {
	challenge, f, now := e.challenge, e.factor, e.factor.CreatedAt
	r.Methods = e.newMethods
	done := Confirmation{factor: f}
	var admitted watchword.Admitted
	var added watchword.Event
	err := m.store.Update(ctx, func(tx Tx) error {
		waits, err := m.readChallenge(ctx, tx, challengeID, watchword.ChallengeEnrol, now)
		if err != nil {
			return err
		}
		user, err := tx.User(ctx, waits.UserID)
		if err != nil {
			return m.notFoundToChallengeInvalid(err)
		}
		resumed, err := m.engine.Resume(ctx, waits, user, r, now)
		if err != nil {
			return err
		}
		if admitted, err = m.engine.Admit(ctx, tx, resumed); err != nil { // comes first, because it locks the account
			return err
		}
		taken, err := tx.TakeChallenge(ctx, challengeID, watchword.ChallengeEnrol, now)
		if err == nil && !taken {
			err = challengeInvalid()
		}
		if err == nil {
			user, err = tx.User(ctx, user.ID) // another request may have changed the address before the lock
		}
		if err != nil {
			return err
		}
		added = m.engine.Event(watchword.EventFactorAdded, user, admitted.Session(), r.Client, now)
		added.Detail = string(f.Kind)
		target := additionTarget{user, admitted.Session(), added}
		if done.Codes, err = m.insertFactor(ctx, tx, challenge, f, target); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, added)
	})
	if err != nil {
		return Confirmation{}, nil, err
	}
	m.engine.Announce(added)
	in, err := m.engine.IssueTokens(admitted)
	return done, in, err
}

// notFoundToChallengeInvalid converts watchword.ErrNotFound to CodeChallengeInvalid, because the account or the
// challenge was deleted meanwhile.
func (m *Manager) notFoundToChallengeInvalid(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return challengeInvalid()
	}
	return err
}
