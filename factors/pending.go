package factors

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/totp"
)

// The hosted pages have a step between BeginTOTP and ConfirmTOTP that a user may load again. The
// secret is then read from the challenge, under the conditions of the enrolment.

// Pending returns an enrolment that waits for its first code, to the session that began it. It does
// not count as an attempt. Codes: CodeChallengeInvalid and those of BeginTOTP.
//
// Unstable: for the hosted pages.
func (m *Manager) Pending(ctx context.Context, who watchword.Identity, id string) (Enrolment, error) {
	now := m.engine.Now()
	var challenge watchword.Challenge
	err := m.store.View(ctx, func(tx Tx) (err error) {
		challenge, err = tx.Challenge(ctx, id, watchword.ChallengeTOTP, now)
		if errors.Is(err, watchword.ErrNotFound) ||
			err == nil && (challenge.UserID != who.User.ID || challenge.SessionID != who.Session.ID) {
			return challengeInvalid()
		}
		if err != nil {
			return err
		}
		all, err := tx.Factors(ctx, who.User.ID)
		if err != nil {
			return err
		}
		// The secret is worth as much as a factor, so an old session can't read it.
		if refusal := m.mayEnrol(who.User, who.Session, all, now); refusal != nil {
			return refusal
		}
		return nil
	})
	if err != nil {
		return Enrolment{}, err
	}
	plain, err := m.engine.OpenChallenge(challenge)
	if err != nil {
		return Enrolment{}, err
	}
	var pending pendingTOTP
	if err := json.Unmarshal(plain, &pending); err != nil {
		return Enrolment{}, err
	}
	return m.enrolment(who.User, id, pending.Secret), nil
}

// enrolment returns what a user needs to set up an authenticator.
func (m *Manager) enrolment(u watchword.User, id string, secret []byte) Enrolment {
	return Enrolment{
		ID: id, Secret: watchword.Secret(totp.Text(secret)),
		URI: watchword.Secret(totp.URI(secret, m.opts.Issuer, string(u.Email))),
	}
}

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
