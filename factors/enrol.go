package factors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/recoverycode"
	"github.com/watchword-auth/watchword/internal/storable"
	"github.com/watchword-auth/watchword/internal/totp"
)

// A session must meet the same conditions to add a factor as to remove one. Otherwise a thief with a session could
// replace the owner's authenticator. The account also needs a proven address. Otherwise an attacker could sign up
// with another person's address, and add a factor before that person gets the account.

// How many factors of one kind an account can have.
//
// Unstable: more kinds may follow.
const (
	MaxTOTP     = 2
	MaxPasskeys = 10
)

func (m *Manager) checkEnrolmentAllowed(
	u watchword.User, s watchword.Session, all []Factor, k Kind, now time.Time,
) *watchword.Error {
	if refusal := checkAddition(u, all, k); refusal != nil {
		return refusal
	}
	return m.engine.Fresh(u, s, now)
}

// checkAddition returns an error if the account can't get another factor of kind k. It does not check the session.
func checkAddition(u watchword.User, all []Factor, k Kind) *watchword.Error {
	if !u.Verified() {
		return refuse(watchword.CodeEmailNotVerified, "Confirm your email address first: open the link that we emailed you.")
	}
	return checkFactorLimit(all, k)
}

func checkFactorLimit(all []Factor, k Kind) *watchword.Error {
	have := 0
	for _, f := range all {
		if f.Kind == k {
			have++
		}
	}
	switch {
	case k == KindTOTP && have >= MaxTOTP:
		return refuse(watchword.CodeFactorLimit, "Remove an authenticator app first: an account can have 2.")
	case k == KindPasskey && have >= MaxPasskeys:
		return refuse(watchword.CodeFactorLimit, "Remove a passkey first: an account can have 10.")
	}
	return nil
}

// An Enrolment is a TOTP that waits for its first code. It is not stored among the factors.
type Enrolment struct {
	ID     string
	Secret watchword.Secret // in base32, for users who type it
	URI    watchword.Secret // an otpauth URI, for a QR code
}

// A pendingTOTP is sealed in the challenge of an Enrolment.
type pendingTOTP struct {
	Secret []byte `json:"secret"`
	Name   string `json:"name"`
	Entry  string `json:"entry"` // id of the challenge of the waiting sign-in; empty if a signed-in user enrols
}

// BeginTOTP creates a secret for the authenticator of a signed-in user. Codes: CodeNotFound (enrolment is off),
// CodeEmailNotVerified, CodeStepUpRequired, CodeFactorLimit.
func (m *Manager) BeginTOTP(ctx context.Context, who watchword.Identity, name string) (Enrolment, error) {
	authorize := func(tx Tx, now time.Time) (u watchword.User, id watchword.SessionID, err error) {
		session, user, err := tx.Session(ctx, who.Session.ID)
		if err != nil {
			return u, id, m.notFoundToSessionEnded(err)
		}
		all, err := tx.Factors(ctx, user.ID)
		if err != nil {
			return u, id, err
		}
		if refusal := m.checkEnrolmentAllowed(user, session, all, KindTOTP, now); refusal != nil {
			return u, id, refusal
		}
		return user, session.ID, nil
	}
	return m.beginTOTP(ctx, pendingTOTP{Name: name}, authorize)
}

// beginTOTP runs authorize in its transaction. authorize checks the permission, and returns the account and its
// session.
func (m *Manager) beginTOTP(
	ctx context.Context, p pendingTOTP, authorize func(Tx, time.Time) (watchword.User, watchword.SessionID, error),
) (Enrolment, error) {
	if m.opts.EnrolmentOff {
		return Enrolment{}, refuse(watchword.CodeNotFound, "This service does not offer two-step sign-in.")
	}
	now := m.engine.Now()
	p.Secret, p.Name = totp.NewSecret(), cmp.Or(p.Name, "Authenticator app")
	plain, err := json.Marshal(p)
	if err != nil {
		return Enrolment{}, err
	}
	var challenge watchword.Challenge
	var user watchword.User
	err = m.store.Update(ctx, func(tx Tx) error {
		var session watchword.SessionID
		if user, session, err = authorize(tx, now); err != nil {
			return err
		}
		challenge, _ = m.engine.NewChallenge(watchword.ChallengeTOTP, user, session, plain, now)
		return insertEnrolmentChallenge(ctx, tx, challenge)
	})
	if err != nil {
		return Enrolment{}, err
	}
	return m.newEnrolment(user, challenge.ID, p.Secret), nil
}

// maxPendingPerSession bounds the open challenges of one purpose, so that a session can't fill the table. Five allow
// enrolments and step-ups in several tabs. The next challenge replaces the oldest.
const maxPendingPerSession = 5

// insertEnrolmentChallenge bounds the enrolments of a session by maxPendingPerSession. A sign-in that waits for its
// first factor has no session. The attempts of its own challenge bound its enrolments.
func insertEnrolmentChallenge(ctx context.Context, tx Tx, c watchword.Challenge) error {
	if c.SessionID == "" {
		return tx.InsertChallenge(ctx, c)
	}
	return tx.InsertSessionChallenge(ctx, c, maxPendingPerSession)
}

// notFoundToSessionEnded converts watchword.ErrNotFound to the error of an ended session. It returns all other errors
// unchanged.
func (m *Manager) notFoundToSessionEnded(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return m.engine.SessionEnded()
	}
	return err
}

// A Confirmation is the result of a confirmed enrolment: the new factor, and new recovery codes if the account had
// none. The codes can't be read again later.
type Confirmation struct {
	Codes  []watchword.Secret
	factor Factor
}

// Factor returns the record of the new factor.
//
// Unstable: for package server.
func (c Confirmation) Factor() Factor { return c.factor }

// ConfirmTOTP adds the TOTP of an enrolment if code is right. The code is then used up, so it can't also sign in. The
// first factor ends the user's other sessions. If the account had no recovery codes, the result has new ones. Codes:
// CodeChallengeInvalid, CodeFactorWrong and those of BeginTOTP.
func (m *Manager) ConfirmTOTP(
	ctx context.Context, who watchword.Identity, id string, code watchword.Secret, c watchword.Client,
) (Confirmation, error) {
	now := m.engine.Now()
	challenge, f, err := m.confirmTOTPCode(ctx, id, code, now, func(c watchword.Challenge, p pendingTOTP) bool {
		return c.UserID == who.User.ID && c.SessionID == who.Session.ID && p.Entry == ""
	})
	if err != nil {
		return Confirmation{}, err
	}
	return m.addFactor(ctx, who, confirmedFactor{challenge, f, []string{"otp"}}, c)
}

// confirmTOTPCode compares the code with the secret of the enrolment. It commits the attempt before it compares the
// code, so that parallel guesses count. belongsToRequest reports whether the request may confirm this enrolment.
func (m *Manager) confirmTOTPCode(
	ctx context.Context, id string, code watchword.Secret, now time.Time,
	belongsToRequest func(watchword.Challenge, pendingTOTP) bool,
) (challenge watchword.Challenge, f Factor, err error) {
	var pending pendingTOTP
	challenge, err = m.countOwnAttempt(ctx, enrolmentAttempt{id, watchword.ChallengeTOTP, now}, &pending,
		func(c watchword.Challenge) bool { return belongsToRequest(c, pending) })
	if err != nil {
		return challenge, Factor{}, err
	}
	step, ok, err := totp.Match(pending.Secret, totp.Normalize(string(code)), now, 0)
	if err == nil && !ok {
		err = refuse(watchword.CodeFactorWrong, "This code is wrong. Enter the current code of the app.")
	}
	if err != nil {
		return challenge, Factor{}, err
	}
	f = Factor{
		ID: newID(), UserID: challenge.UserID, Kind: KindTOTP, Name: pending.Name, Counter: step, CreatedAt: now,
	}
	f.Sealed = m.engine.Seal(watchword.FactorContext(f.ID), pending.Secret)
	return challenge, f, nil
}

// readChallenge returns CodeChallengeInvalid for a challenge that has expired or does not exist.
func (m *Manager) readChallenge(
	ctx context.Context, tx Tx, id string, p watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	if !storable.ID(id) {
		return watchword.Challenge{}, challengeInvalid()
	}
	c, err := tx.Challenge(ctx, id, p, now)
	if errors.Is(err, watchword.ErrNotFound) {
		err = challengeInvalid()
	}
	return c, err
}

// countAttempt counts an attempt on a challenge, and returns the challenge. Codes: CodeChallengeInvalid.
func (m *Manager) countAttempt(
	ctx context.Context, tx Tx, id string, p watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	if !storable.ID(id) {
		return watchword.Challenge{}, challengeInvalid()
	}
	c, err := tx.ClaimChallenge(ctx, id, p, now)
	return c, m.notFoundToChallengeInvalid(err)
}

type enrolmentAttempt struct {
	challengeID string
	purpose     watchword.ChallengePurpose
	at          time.Time
}

// countOwnAttempt decodes the sealed data of the challenge into target. If belongsToRequest returns false, the
// attempt is not counted, because a request must not use up the attempts of another user.
func (m *Manager) countOwnAttempt(
	ctx context.Context, try enrolmentAttempt, target any, belongsToRequest func(watchword.Challenge) bool,
) (c watchword.Challenge, err error) {
	err = m.store.Update(ctx, func(tx Tx) error {
		if c, err = m.countAttempt(ctx, tx, try.challengeID, try.purpose, try.at); err != nil {
			return err
		}
		plain, err := m.engine.OpenChallenge(c)
		if err == nil {
			err = json.Unmarshal(plain, target)
		}
		if err == nil && !belongsToRequest(c) {
			err = challengeInvalid()
		}
		return err
	})
	return c, err
}

// A confirmedFactor is not stored yet.
type confirmedFactor struct {
	challenge  watchword.Challenge
	factor     Factor
	newMethods []string // of the session; empty for a passkey from an automatic upgrade
}

// addFactor requires a fresh session for a TOTP. For a passkey, it is enough that the session was fresh when the
// ceremony began, because the user may have to search for a security key.
func (m *Manager) addFactor(
	ctx context.Context, who watchword.Identity, e confirmedFactor, client watchword.Client,
) (Confirmation, error) {
	c, f, now := e.challenge, e.factor, e.factor.CreatedAt
	done := Confirmation{factor: f}
	event := m.engine.Event(watchword.EventFactorAdded, who.User, who.Session.ID, client, now)
	event.Detail = string(f.Kind)
	err := m.store.Update(ctx, func(tx Tx) error {
		done.Codes = nil
		user, session, err := m.lockAccount(ctx, tx, who)
		if err != nil {
			return err
		}
		if !user.FactorsChangedAt.Equal(c.FactorsChangedAt) {
			return challengeInvalid()
		}
		if refusal := m.engine.Fresh(user, session, now); f.Kind == KindTOTP && refusal != nil {
			return refusal
		}
		if done.Codes, err = m.insertFactor(ctx, tx, c, f, additionTarget{user, session.ID, event}); err != nil {
			return err
		}
		if len(e.newMethods) == 0 {
			return tx.InsertEvent(ctx, event)
		}
		session.Methods, session.AuthenticatedAt = amr.Add(session.Methods, e.newMethods...), now
		if err := m.storeSessionProof(ctx, tx, session, now); err != nil {
			return err
		}
		return tx.InsertEvent(ctx, event)
	})
	if err != nil {
		return Confirmation{}, m.notFoundToSessionEnded(err)
	}
	m.engine.Announce(event)
	return done, nil
}

// An additionTarget is the account and the session that get a new factor.
type additionTarget struct {
	user    watchword.User // as read under the lock of the account, before the addition
	session watchword.SessionID
	event   watchword.Event // EventFactorAdded
}

// insertFactor consumes the challenge of the enrolment, adds the factor, and queues the notice. It refuses a factor
// that the account must not add. The first factor ends the other sessions, because they were opened without it.
//
// An account without recovery codes gets new codes. The first use of a passkey from an automatic upgrade can make it
// the first factor, but creates no codes, because no page could show them. In this case, the next factor creates the
// codes.
func (m *Manager) insertFactor(
	ctx context.Context, tx Tx, c watchword.Challenge, f Factor, to additionTarget,
) (codes []watchword.Secret, err error) {
	all, err := tx.Factors(ctx, f.UserID)
	if err != nil {
		return nil, err
	}
	if refusal := checkAddition(to.user, all, f.Kind); refusal != nil {
		return nil, refusal
	}
	taken, err := tx.TakeChallenge(ctx, c.ID, c.Purpose, f.CreatedAt)
	if err == nil && !taken {
		err = challengeInvalid()
	}
	if err != nil {
		return nil, err
	}
	inserted, err := tx.InsertFactor(ctx, f)
	if err == nil && !inserted {
		err = refuse(watchword.CodeFactorWrong, "This passkey belongs to an account already. Create another one.")
	}
	if err == nil {
		err = tx.CountFactors(ctx, f.UserID, f.CreatedAt)
	}
	if err == nil {
		err = m.engine.Notify(ctx, tx, to.user, to.event, factorMail(f, "added", 0))
	}
	if err != nil || f.Unproven {
		return nil, err
	}
	if to.user.Factors == 0 {
		_, err = tx.EndSessions(ctx, f.UserID, to.session, watchword.EndedFactor, f.CreatedAt)
	} else if stored, failed := tx.RecoveryCodes(ctx, f.UserID); failed != nil || stored.Left > 0 {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return m.replaceRecoveryCodes(ctx, tx, f.UserID, f.CreatedAt)
}

// lockAccount locks the account of a session, and returns the account and the session. Every change of factors takes
// this lock first, so changes run one after the other.
func (m *Manager) lockAccount(
	ctx context.Context, tx Tx, who watchword.Identity,
) (watchword.User, watchword.Session, error) {
	locked, err := tx.LockUser(ctx, who.User.ID, who.User.Email)
	if err == nil && !locked {
		err = m.engine.SessionEnded() // the account was deleted, or its address has just changed
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

// storeSessionProof stores the methods of the session and the time of the proof. Codes: those of an ended session.
func (m *Manager) storeSessionProof(ctx context.Context, tx Tx, s watchword.Session, now time.Time) error {
	alive, err := tx.ProveSession(ctx, s.ID, s.Methods, s.AuthenticatedAt, m.engine.Cutoffs(now))
	if err == nil && !alive {
		err = m.engine.SessionEnded()
	}
	return err
}

func (m *Manager) replaceRecoveryCodes(
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
