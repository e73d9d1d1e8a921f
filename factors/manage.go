package factors

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/storable"
)

// An Overview lists the factors of an account.
//
// Unstable: package server and the program watchword call it.
type Overview struct {
	Factors []Factor // oldest first, without Sealed
	Codes   RecoveryCodes
	Devices []Device // remembered devices, newest first
}

// List returns the factors of an account.
//
// Unstable: package server and the program watchword call it.
func (m *Manager) List(ctx context.Context, id watchword.UserID) (o Overview, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		if o.Factors, err = tx.Factors(ctx, id); err != nil {
			return err
		}
		if o.Codes, err = tx.RecoveryCodes(ctx, id); err != nil {
			return err
		}
		o.Devices, err = m.validDevices(ctx, tx, id, m.engine.Now())
		return err
	})
	for i := range o.Factors {
		o.Factors[i].Sealed = nil
	}
	return o, err
}

const maxNameLength = 100 // code points

// Rename changes the name of a factor. Codes: CodeValidationFailed (name), CodeNotFound.
//
// Unstable: package server calls it.
func (m *Manager) Rename(ctx context.Context, who watchword.Identity, factor, name string) error {
	name, err := parseName(name)
	if err != nil {
		return err
	}
	if !storable.ID(factor) {
		return noFactor()
	}
	return m.store.Update(ctx, func(tx Tx) error {
		renamed, err := tx.RenameFactor(ctx, who.User.ID, factor, name)
		if err == nil && !renamed {
			err = noFactor()
		}
		return err
	})
}

// Required reports whether an account must have a second factor.
//
// Unstable: package server calls it.
func (m *Manager) Required(u watchword.User) bool { return m.engine.Requires(u) }

func lastRequired() error {
	return refuse(watchword.CodeLastWayIn,
		"This service requires two-step sign-in. Add another app or passkey first, then remove this one.")
}

func noFactor() error {
	return refuse(watchword.CodeNotFound, "This factor does not exist. It may have been removed.")
}

// Remove deletes a factor. It ends the user's other sessions, and all access tokens become invalid. If the factor is
// the last one, Remove also deletes the recovery codes and lowers the level of the session. Codes:
// CodeStepUpRequired, CodeNotFound, CodeLastWayIn (including the last factor of an account that must have one).
//
// Unstable: package server calls it.
func (m *Manager) Remove(ctx context.Context, who watchword.Identity, factor string, c watchword.Client) error {
	now := m.engine.Now()
	event := m.engine.Event(watchword.EventFactorRemoved, who.User, who.Session.ID, c, now)
	err := m.store.Update(ctx, func(tx Tx) error {
		user, session, err := m.lockAccount(ctx, tx, who)
		if err != nil {
			return err
		}
		if refusal := m.engine.Fresh(user, session, now); refusal != nil {
			return refusal
		}
		gone, left, err := m.deleteFactor(ctx, tx, user.ID, factor)
		if err == nil && left == 0 && !gone.Unproven && m.engine.Requires(user) {
			err = lastRequired()
		}
		if err != nil {
			return err
		}
		if err := tx.CountFactors(ctx, user.ID, now); err != nil {
			return err
		}
		if left == 0 {
			if err := tx.DeleteRecoveryCodes(ctx, user.ID); err != nil {
				return err
			}
			session.Methods = amr.First(session.Methods)
			if err := m.storeSessionProof(ctx, tx, session, now); err != nil {
				return err
			}
		}
		if _, err := tx.EndSessions(ctx, user.ID, session.ID, watchword.EndedFactorGone, now); err != nil {
			return err
		}
		if err := m.engine.OutdateTokens(ctx, tx, user, now); err != nil {
			return err
		}
		if err := m.engine.Notify(ctx, tx, user, event, factorMail(gone, "removed", left)); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return m.notFoundToSessionEnded(err)
	}
	m.engine.Announce(event)
	return nil
}

// deleteFactor refuses to delete the last way to sign in. remainingFactors is how many of the other factors a sign-in
// asks for.
func (m *Manager) deleteFactor(
	ctx context.Context, tx Tx, id watchword.UserID, factor string,
) (gone Factor, remainingFactors int, err error) {
	all, err := tx.Factors(ctx, id)
	if err != nil {
		return gone, 0, err
	}
	for _, f := range all {
		if f.ID == factor {
			gone = f
		} else if !f.Unproven {
			remainingFactors++
		}
	}
	if gone.ID == "" {
		return gone, remainingFactors, noFactor()
	}
	removed, err := tx.DeleteFactor(ctx, id, factor, m.otherSignInPasskey(all, factor), m.opts.Providers)
	if err == nil && !removed {
		err = LastWayIn()
	}
	return gone, remainingFactors, err
}

// Spare returns the id of a passkey that can sign the user in without another proof, or "". If the transaction has
// locked the account, this passkey can't be removed until the transaction ends.
//
// Unstable: for packages of this module.
func (m *Manager) Spare(ctx context.Context, tx Tx, id watchword.UserID) (string, error) {
	all, err := tx.Factors(ctx, id)
	return m.otherSignInPasskey(all, ""), err
}

// otherSignInPasskey returns the id of a passkey that can sign the user in without another proof. It ignores the
// passkey with removedID. It returns "" if there is no such passkey, or if passkeys are off.
func (m *Manager) otherSignInPasskey(all []Factor, removedID string) string {
	if m.passkeys == nil {
		return ""
	}
	for _, f := range all {
		if f.ID != removedID && f.signsInAlone() {
			return f.ID
		}
	}
	return ""
}

// LastWayIn returns the error for an attempt to remove the last way to sign in.
//
// Unstable: for packages of this module.
func LastWayIn() error {
	return refuse(watchword.CodeLastWayIn,
		"This is your only way to sign in. Set a password or add a passkey first, then remove it.")
}

// NewRecoveryCodes replaces the recovery codes. The old ones become invalid. Codes:
// CodeStepUpRequired, CodeNotFound (the account has no factor).
//
// Unstable: package server calls it.
func (m *Manager) NewRecoveryCodes(
	ctx context.Context, who watchword.Identity, c watchword.Client,
) (codes []watchword.Secret, err error) {
	now := m.engine.Now()
	event := m.engine.Event(eventRecoveryCodes, who.User, who.Session.ID, c, now)
	err = m.store.Update(ctx, func(tx Tx) error {
		user, session, err := m.lockAccount(ctx, tx, who)
		if err != nil {
			return err
		}
		if user.Factors == 0 {
			return noFactor()
		}
		if refusal := m.engine.Fresh(user, session, now); refusal != nil {
			return refusal
		}
		if codes, err = m.replaceRecoveryCodes(ctx, tx, user.ID, now); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return nil, m.notFoundToSessionEnded(err)
	}
	m.engine.Announce(event)
	return codes, nil
}

// A StepUpRequest has a new proof of a signed-in user. Password is only for accounts without
// factors.
//
// Unstable: package server calls it.
type StepUpRequest struct {
	Proof
	Password watchword.Secret
	Client   watchword.Client
}

// StepUp makes a session fresh. The session keeps its generation and does not rotate. StepUp returns a new access
// token and its lifetime. Codes: CodeValidationFailed, CodeFactorWrong, CodePasswordWrong, CodeStepUpRequired (a
// password, although the account has a factor or no password), CodeRateLimited, CodeTryLater.
//
// Unstable: package server calls it.
func (m *Manager) StepUp(
	ctx context.Context, who watchword.Identity, r StepUpRequest,
) (access watchword.Secret, life time.Duration, err error) {
	now := m.engine.Now()
	if r.Password != "" {
		if who.User.Factors > 0 || who.User.PasswordHash == "" { // a password is not enough for this account
			return "", 0, m.engine.Fresh(who.User, watchword.Session{}, now)
		}
		if err := m.engine.Reauthenticate(ctx, who, r.Password, r.Client, now); err != nil {
			return "", 0, err
		}
		return m.applyStepUp(ctx, who, verifiedStepUp{client: r.Client, at: now})
	}
	kind, err := r.kind()
	if err != nil {
		return "", 0, err
	}
	proven := verifiedStepUp{client: r.Client, at: now}
	if kind == string(KindPasskey) {
		if proven.ceremonyID, r.ceremony, err = m.stepUpCeremony(r.Passkey); err != nil {
			return "", 0, err
		}
	}
	var all []Factor
	try := watchword.FactorTry{User: who.User, Kind: kind, Client: r.Client, At: now}
	err = m.store.Update(ctx, func(tx Tx) (err error) {
		if err := m.countStepUpAttempt(ctx, tx, proven.ceremonyID, who, now); err != nil {
			return err
		}
		if proven.charge, err = m.engine.ChargeFactor(ctx, tx, try); err != nil {
			return err
		}
		all, err = tx.Factors(ctx, who.User.ID)
		return err
	})
	if err != nil {
		return "", 0, err
	}
	if proven.verifiedProof, err = m.checkProof(ctx, try, all, r.Proof); err != nil {
		return "", 0, err
	}
	return m.applyStepUp(ctx, who, proven)
}

// A verifiedStepUp is a step-up with a correct proof. If the proof was a password, verifiedProof is the zero value.
type verifiedStepUp struct {
	verifiedProof
	ceremonyID string // of the challenge in the passkey's response
	charge     watchword.Charge
	client     watchword.Client
	at         time.Time
}

func (m *Manager) applyStepUp(
	ctx context.Context, who watchword.Identity, proven verifiedStepUp,
) (watchword.Secret, time.Duration, error) {
	now, c := proven.at, proven.client
	event := m.engine.Event(eventStepUp, who.User, who.Session.ID, c, now)
	event.Detail = proven.method
	var user watchword.User
	var session watchword.Session
	var used []watchword.Event
	err := m.store.Update(ctx, func(tx Tx) (err error) {
		if user, session, err = m.lockAccount(ctx, tx, who); err != nil {
			return err
		}
		if proven.method == "" {
			err = m.engine.HoldPassword(ctx, tx, who.User)
		} else {
			err = m.consumeInSession(ctx, tx, user, session, proven)
			session.Methods = amr.Add(session.Methods, proven.amrValues()...)
		}
		if err != nil {
			return err
		}
		session.AuthenticatedAt = now
		if err := m.storeSessionProof(ctx, tx, session, now); err != nil {
			return err
		}
		if used, err = m.recordProofUse(ctx, tx, user, proven.verifiedProof, event); err != nil {
			return err
		}
		if err := m.engine.Refund(ctx, tx, proven.charge); err != nil {
			return err
		}
		event.ID = newID() // recordProofUse may have stored an event with the previous id
		return tx.InsertEvent(ctx, event)
	})
	if errors.Is(err, errProofUsed) {
		return "", 0, m.refuseUsedProof(ctx, watchword.FactorTry{User: who.User, Client: c, At: now}, proven.verifiedProof)
	}
	if err != nil {
		return "", 0, m.notFoundToSessionEnded(err)
	}
	m.engine.Announce(append(used, event)...)
	return m.engine.AccessToken(user, session, now)
}

// Reset removes all factors, recovery codes and remembered devices of an account. It ends every session, and all
// access tokens become invalid. The event names the operator. Codes: CodeNotFound.
//
// Unstable: package server and the program watchword call it.
func (m *Manager) Reset(ctx context.Context, operator string, id watchword.UserID) error {
	return m.ResetKind(ctx, operator, id, "")
}

// ResetKind is Reset for the factors of one kind, or for the recovery codes (KindRecovery). The other kinds stay.
// Codes: CodeNotFound, CodeLastWayIn (passkeys of an account without a password).
//
// Unstable: for the program watchword.
func (m *Manager) ResetKind(ctx context.Context, operator string, id watchword.UserID, k Kind) error {
	if !storable.ID(string(id)) {
		return noAccount()
	}
	now := m.engine.Now()
	event := m.engine.Event(watchword.EventFactorsReset, watchword.User{ID: id}, "", watchword.Client{}, now)
	event.Operator, event.Detail = operator, string(k)
	err := m.store.Update(ctx, func(tx Tx) error {
		if err := m.deleteFactorsOfKind(ctx, tx, id, k, now); err != nil {
			return err
		}
		user, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if _, err := tx.EndSessions(ctx, id, "", watchword.EndedFactors, now); err != nil {
			return err
		}
		if err := m.engine.OutdateTokens(ctx, tx, user, now); err != nil {
			return err
		}
		reset := watchword.Mail{Kind: watchword.MailFactorsReset, Facts: watchword.MailFacts{Factor: string(k)}}
		if err := m.engine.Notify(ctx, tx, user, event, reset); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if errors.Is(err, watchword.ErrNotFound) {
		return noAccount()
	}
	if err == nil {
		m.engine.Announce(event)
	}
	return err
}

func noAccount() error { return refuse(watchword.CodeNotFound, "No account has this id.") }

// deleteFactorsOfKind deletes the factors of kind k. If k is "", it deletes all factors and the recovery codes. A
// deletion also ends the remembered devices. The deletion of the last factor also deletes the recovery codes, because
// a recovery code only replaces a factor.
func (m *Manager) deleteFactorsOfKind(ctx context.Context, tx Tx, id watchword.UserID, k Kind, now time.Time) error {
	if k == "" {
		return tx.DeleteFactors(ctx, id, time.Time{}, now)
	}
	if _, err := m.engine.Hold(ctx, tx, id); err != nil {
		return err
	}
	all, err := tx.Factors(ctx, id)
	if err != nil {
		return err
	}
	left := 0
	for _, f := range all {
		switch {
		case f.Kind == k:
			if _, _, err := m.deleteFactor(ctx, tx, id, f.ID); err != nil {
				return err
			}
		case !f.Unproven:
			left++
		}
	}
	if k == KindRecovery || left == 0 {
		if err := tx.DeleteRecoveryCodes(ctx, id); err != nil {
			return err
		}
	}
	return tx.CountFactors(ctx, id, now)
}
