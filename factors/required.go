package factors

import (
	"context"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
)

// The first factor of an account that must have one (Options.SecondFactor of the engine). The right password opens a
// challenge instead of a session, and the confirmed factor completes that sign-in. The user can't skip it.

// BeginRequired creates a secret for a sign-in that waits for its first factor. handle is of CodeEnrolmentRequired. It
// counts as one of the attempts of the challenge. Codes: CodeNotFound (enrolment is off), CodeChallengeInvalid.
func (m *Manager) BeginRequired(ctx context.Context, handle watchword.Secret, name string) (Enrolment, error) {
	entry, err := m.engine.ChallengeID(handle, watchword.ChallengeEnrol)
	if err != nil {
		return Enrolment{}, err
	}
	may := func(tx Tx, now time.Time) (u watchword.User, id watchword.SessionID, err error) {
		c, err := m.challenge(ctx, tx, entry, watchword.ChallengeEnrol, now)
		if err != nil {
			return u, "", err
		}
		if u, err = tx.User(ctx, c.UserID); err != nil {
			return u, "", m.gone(err)
		}
		if !u.FactorsChangedAt.Equal(c.FactorsChangedAt) {
			return u, "", challengeInvalid() // another sign-in has added the first factor
		}
		return u, "", m.claimAttempt(ctx, tx, c, now)
	}
	return m.begin(ctx, pendingTOTP{Name: name, Entry: entry}, may)
}

// A RequiredRequest confirms the first factor and completes the sign-in.
type RequiredRequest struct {
	Handle watchword.Secret // of CodeEnrolmentRequired
	ID     string           // Enrolment.ID
	Code   watchword.Secret
	Client watchword.Client
}

// ConfirmRequired adds the first factor and opens the session of the sign-in, in one transaction. Codes:
// CodeChallengeInvalid, CodeFactorWrong, CodeAccountDisabled, CodeEmailNotVerified.
func (m *Manager) ConfirmRequired(ctx context.Context, r RequiredRequest) (Confirmation, *watchword.SignIn, error) {
	refused := func(err error) (Confirmation, *watchword.SignIn, error) { return Confirmation{}, nil, err }
	entry, err := m.engine.ChallengeID(r.Handle, watchword.ChallengeEnrol)
	if err != nil {
		return refused(err)
	}
	now := m.engine.Now()
	challenge, f, err := m.confirmed(ctx, r.ID, r.Code, now, func(_ watchword.Challenge, p pendingTOTP) bool {
		return p.Entry == entry
	})
	if err != nil {
		return refused(err)
	}
	done := Confirmation{Factor: f}
	var admitted watchword.Admitted
	var added watchword.Event
	err = m.store.Update(ctx, func(tx Tx) error {
		waits, err := m.challenge(ctx, tx, entry, watchword.ChallengeEnrol, now)
		if err != nil {
			return err
		}
		taken, err := tx.TakeChallenge(ctx, entry, watchword.ChallengeEnrol, now)
		if err == nil && !taken {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		user, err := tx.User(ctx, waits.UserID)
		if err != nil {
			return m.gone(err)
		}
		resumed, err := m.engine.Resume(waits, user, []string{"otp"}, r.Client, now)
		if err != nil {
			return err
		}
		if admitted, err = m.engine.Admit(ctx, tx, resumed); err != nil {
			return err
		}
		if done.Codes, err = m.insert(ctx, tx, challenge, f, addition{user, admitted.Session()}); err != nil {
			return err
		}
		added = m.engine.Event(watchword.EventFactorAdded, user, admitted.Session(), r.Client, now)
		added.Detail = string(f.Kind)
		return tx.InsertEvent(ctx, added)
	})
	if err != nil {
		return refused(err)
	}
	m.engine.Announce(added)
	in, err := m.engine.Enter(admitted)
	return done, in, err
}

// gone maps an account that was deleted meanwhile to the refusal of its challenge.
func (m *Manager) gone(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return challengeInvalid()
	}
	return err
}
