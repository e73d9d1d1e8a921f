package factors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/recoverycode"
	"github.com/watchword-auth/watchword/internal/totp"
)

// Enrolment has the same conditions as removal: a thief with a session could otherwise replace
// the owner's authenticator by another. The account needs a proven address, because an
// attacker could otherwise plant a factor in an account with another person's address.

// MaxTOTP is how many TOTP factors an account can have.
const MaxTOTP = 2

// decideFresh decides whether a session may change factors at now. An account with a factor must
// have proven it, and a password alone never makes such a session fresh.
func decideFresh(u watchword.User, s watchword.Session, age time.Duration, now time.Time) *watchword.Error {
	needs := amr.LevelOne
	if u.Factors > 0 {
		needs = amr.LevelTwo
	}
	old := now.Sub(s.AuthenticatedAt) > age
	if !old && (needs == amr.LevelOne || amr.Level(s.Methods) == amr.LevelTwo) {
		return nil
	}
	refusal := refuse(watchword.CodeStepUpRequired, "Confirm that it is you, then try again.")
	refusal.StepUp = &watchword.StepUp{ACR: needs, MaxAge: age}
	return refusal
}

// mayEnrol decides whether a session may add a TOTP.
func (m *Manager) mayEnrol(u watchword.User, s watchword.Session, all []Factor, now time.Time) *watchword.Error {
	if !u.Verified() {
		return refuse(watchword.CodeEmailNotVerified, "Confirm your email address first: open the link that we emailed you.")
	}
	if refusal := decideFresh(u, s, m.opts.StepUpAge, now); refusal != nil {
		return refusal
	}
	have := 0
	for _, f := range all {
		if f.Kind == KindTOTP {
			have++
		}
	}
	if have >= MaxTOTP {
		return refuse(watchword.CodeFactorLimit, "Remove an authenticator app first: an account can have 2.")
	}
	return nil
}

// An Enrolment is a TOTP that waits for its first code. It is not stored among the factors.
type Enrolment struct {
	ID     string
	Secret watchword.Secret // base32, to type
	URI    watchword.Secret // otpauth, for a QR code
}

// A pendingTOTP is what the challenge of an Enrolment seals.
type pendingTOTP struct {
	Secret []byte `json:"secret"`
	Name   string `json:"name"`
}

// BeginTOTP creates a secret for the authenticator of a signed-in user. Codes:
// CodeEmailNotVerified, CodeStepUpRequired, CodeFactorLimit.
func (m *Manager) BeginTOTP(ctx context.Context, who watchword.Identity, name string) (Enrolment, error) {
	now := m.engine.Now()
	if name == "" {
		name = "Authenticator app"
	}
	secret := totp.NewSecret()
	plain, err := json.Marshal(pendingTOTP{secret, name})
	if err != nil {
		return Enrolment{}, err
	}
	var challenge watchword.Challenge
	err = m.store.Update(ctx, func(tx Tx) error {
		session, user, err := tx.Session(ctx, who.Session.ID)
		if err != nil {
			return err
		}
		all, err := tx.Factors(ctx, user.ID)
		if err != nil {
			return err
		}
		if refusal := m.mayEnrol(user, session, all, now); refusal != nil {
			return refusal
		}
		challenge, _ = m.engine.NewChallenge(watchword.ChallengeTOTP, user, session.ID, plain, now)
		return tx.InsertChallenge(ctx, challenge)
	})
	if err != nil {
		return Enrolment{}, m.ended(err)
	}
	return m.enrolment(who.User, challenge.ID, secret), nil
}

// ended maps a row that has gone to the refusal of an ended session.
func (m *Manager) ended(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return m.engine.SessionEnded()
	}
	return err
}

// A Confirmation is a new factor. Codes are the recovery codes of the first one, shown once.
type Confirmation struct {
	Factor Factor
	Codes  []watchword.Secret
}

// ConfirmTOTP adds the TOTP of an enrolment if code is right. Its step is claimed, so the code is
// no valid sign-in code. The first factor ends the user's other sessions and creates recovery
// codes. Codes: CodeChallengeInvalid, CodeFactorWrong and those of BeginTOTP.
func (m *Manager) ConfirmTOTP(
	ctx context.Context, who watchword.Identity, id string, code watchword.Secret, c watchword.Client,
) (Confirmation, error) {
	now := m.engine.Now()
	challenge, err := m.claimEnrolment(ctx, who, id, now)
	if err != nil {
		return Confirmation{}, err
	}
	plain, err := m.engine.OpenChallenge(challenge)
	if err != nil {
		return Confirmation{}, err
	}
	var pending pendingTOTP
	if err := json.Unmarshal(plain, &pending); err != nil {
		return Confirmation{}, err
	}
	step, ok, err := totp.Match(pending.Secret, totp.Normalize(string(code)), now, 0)
	if err != nil {
		return Confirmation{}, err
	}
	if !ok {
		return Confirmation{}, refuse(watchword.CodeFactorWrong, "This code is wrong. Enter the current code of the app.")
	}
	f := Factor{ID: newID(), UserID: who.User.ID, Kind: KindTOTP, Name: pending.Name, Counter: step, CreatedAt: now}
	f.Sealed = m.engine.Seal(watchword.FactorContext(f.ID), pending.Secret)
	return m.add(ctx, who, challenge, f, c)
}

// claimEnrolment counts an attempt on an enrolment of this session, and commits it.
func (m *Manager) claimEnrolment(
	ctx context.Context, who watchword.Identity, id string, now time.Time,
) (challenge watchword.Challenge, err error) {
	err = m.store.Update(ctx, func(tx Tx) error {
		challenge, err = tx.Challenge(ctx, id, watchword.ChallengeTOTP, now)
		if errors.Is(err, watchword.ErrNotFound) ||
			err == nil && (challenge.UserID != who.User.ID || challenge.SessionID != who.Session.ID) {
			return challengeInvalid()
		}
		if err != nil {
			return err
		}
		claimed, err := tx.ClaimAttempt(ctx, id, watchword.ChallengeTOTP, now)
		if err == nil && !claimed {
			err = challengeInvalid()
		}
		return err
	})
	return challenge, err
}

// add inserts a confirmed factor in one transaction.
func (m *Manager) add(
	ctx context.Context, who watchword.Identity, c watchword.Challenge, f Factor, client watchword.Client,
) (Confirmation, error) {
	now := f.CreatedAt
	done := Confirmation{Factor: f}
	event := m.engine.Event(watchword.EventFactorAdded, who.User, who.Session.ID, client, now)
	event.Detail = string(f.Kind)
	err := m.store.Update(ctx, func(tx Tx) error {
		done.Codes = nil
		user, session, err := m.lock(ctx, tx, who)
		if err != nil {
			return err
		}
		if !user.FactorsChangedAt.Equal(c.FactorsChangedAt) {
			return challengeInvalid()
		}
		all, err := tx.Factors(ctx, user.ID)
		if err != nil {
			return err
		}
		if refusal := m.mayEnrol(user, session, all, now); refusal != nil {
			return refusal
		}
		taken, err := tx.TakeChallenge(ctx, c.ID, c.Purpose, now)
		if err == nil && taken {
			taken, err = tx.InsertFactor(ctx, f)
		}
		if err == nil && !taken {
			err = challengeInvalid()
		}
		if err != nil {
			return err
		}
		if err := tx.CountFactors(ctx, user.ID, now); err != nil {
			return err
		}
		if user.Factors == 0 {
			if _, err := tx.EndSessions(ctx, user.ID, session.ID, watchword.EndedFactor, now); err != nil {
				return err
			}
			if done.Codes, err = m.replaceCodes(ctx, tx, user.ID, now); err != nil {
				return err
			}
		}
		session.Methods, session.AuthenticatedAt = amr.Complete(append(slices.Clone(session.Methods), "otp")), now
		if err := m.proven(ctx, tx, session, now); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return Confirmation{}, m.ended(err)
	}
	m.engine.Announce(event)
	return done, nil
}

// lock takes the lock of the account and returns its state and that of the session. Every change
// of factors takes it first, so that changes follow each other.
func (m *Manager) lock(
	ctx context.Context, tx Tx, who watchword.Identity,
) (watchword.User, watchword.Session, error) {
	locked, err := tx.LockUser(ctx, who.User.ID, who.User.Email)
	if err == nil && !locked {
		err = m.engine.SessionEnded() // deleted, or the address has just changed
	}
	if err != nil {
		return watchword.User{}, watchword.Session{}, err
	}
	session, user, err := tx.Session(ctx, who.Session.ID)
	if err == nil && (user.Disabled() || !session.EndedAt.IsZero()) {
		err = m.engine.SessionEnded()
	}
	return user, session, err
}

// proven stores the methods of a session and the time of its last proof, if it is alive at now.
func (m *Manager) proven(ctx context.Context, tx Tx, s watchword.Session, now time.Time) error {
	alive, err := tx.ProveSession(ctx, s.ID, s.Methods, s.AuthenticatedAt, m.engine.Cutoffs(now))
	if err == nil && !alive {
		err = m.engine.SessionEnded()
	}
	return err
}

// replaceCodes replaces the recovery codes of an account and returns the new ones.
func (m *Manager) replaceCodes(
	ctx context.Context, tx Tx, id watchword.UserID, now time.Time,
) (codes []watchword.Secret, err error) {
	if err := tx.DeleteRecoveryCodes(ctx, id); err != nil {
		return nil, err
	}
	for _, code := range recoverycode.New() {
		normal, _ := recoverycode.Normalize(code)
		hash := recoverycode.Hash(m.engine.MACSecret(watchword.KeyRecovery), string(id), normal)
		if err := tx.InsertRecoveryCode(ctx, id, hash, now); err != nil {
			return nil, err
		}
		codes = append(codes, watchword.Secret(code))
	}
	return codes, nil
}
