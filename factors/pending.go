package factors

import (
	"context"
	"encoding/json"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The hosted pages show the secret of a TOTP between BeginTOTP and ConfirmTOTP. If the user reloads the page, the
// server reads the secret from the challenge. At that time, the session must meet the same conditions as at
// BeginTOTP.

// Pending returns an enrolment that waits for its first code. It requires the session that began the enrolment. The
// call does not count as an attempt. Codes: CodeChallengeInvalid and those of BeginTOTP.
//
// Unstable: for the hosted pages.
func (m *Manager) Pending(ctx context.Context, who watchword.Identity, id string) (Enrolment, error) {
	var all []Factor
	found, p, u, err := m.readPendingTOTP(ctx, id, func(tx Tx) (err error) {
		all, err = tx.Factors(ctx, who.User.ID)
		return err
	})
	if err == nil && (found.UserID != who.User.ID || found.SessionID != who.Session.ID || p.Entry != "") {
		err = challengeInvalid()
	}
	if err != nil {
		return Enrolment{}, err
	}
	// With the secret, a thief could compute codes of the future factor. Therefore a session that is not fresh can't
	// read it.
	if refusal := m.checkEnrolmentAllowed(who.User, who.Session, all, KindTOTP, m.engine.Now()); refusal != nil {
		return Enrolment{}, refusal
	}
	return m.newEnrolment(u, id, p.Secret), nil
}

// PendingRequired is Pending for the enrolment that BeginRequired began with the same handle. Codes:
// CodeChallengeInvalid.
//
// Unstable: for the hosted pages.
func (m *Manager) PendingRequired(ctx context.Context, handle watchword.Secret, id string) (Enrolment, error) {
	entry, err := m.engine.ChallengeID(handle, watchword.ChallengeEnrol)
	if err != nil {
		return Enrolment{}, err
	}
	_, p, u, err := m.readPendingTOTP(ctx, id, func(tx Tx) error {
		_, err := m.readChallenge(ctx, tx, entry, watchword.ChallengeEnrol, m.engine.Now())
		return err
	})
	if err == nil && p.Entry != entry {
		err = challengeInvalid()
	}
	if err != nil {
		return Enrolment{}, err
	}
	return m.newEnrolment(u, id, p.Secret), nil
}

// readPendingTOTP reads a pending enrolment and its account. In the same transaction, it also calls alsoInTx.
func (m *Manager) readPendingTOTP(
	ctx context.Context, id string, alsoInTx func(Tx) error,
) (c watchword.Challenge, p pendingTOTP, u watchword.User, err error) {
	err = m.store.View(ctx, func(tx Tx) (err error) {
		if c, err = m.readChallenge(ctx, tx, id, watchword.ChallengeTOTP, m.engine.Now()); err != nil {
			return err
		}
		if u, err = tx.User(ctx, c.UserID); err != nil {
			return m.notFoundToChallengeInvalid(err)
		}
		return alsoInTx(tx)
	})
	if err != nil {
		return c, p, u, err
	}
	plain, err := m.engine.OpenChallenge(c)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	return c, p, u, err
}

func (m *Manager) newEnrolment(u watchword.User, id string, secret []byte) Enrolment {
	return Enrolment{
		ID: id, Secret: watchword.Secret(totp.Text(secret)),
		URI: watchword.Secret(totp.URI(secret, m.opts.Issuer, string(u.Email))),
	}
}

// Offered reports whether this service lets users add factors.
//
// Unstable: for the hosted pages.
func (m *Manager) Offered() bool { return !m.opts.EnrolmentOff }

// Fresh reports whether a session may change factors now, so that a page can ask for a proof before
// it shows a form. Codes: CodeStepUpRequired.
//
// Unstable: for the hosted pages.
func (m *Manager) Fresh(who watchword.Identity) error {
	if refusal := m.engine.Fresh(who.User, who.Session, m.engine.Now()); refusal != nil {
		return refusal
	}
	return nil
}
