package watchword

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/knowndevice"
	"github.com/watchword-auth/watchword/internal/rememberedtoken"
)

// Every flow that opens a session ends in admit, the only caller of InsertSession. Most published bypasses of second
// factors came from a flow that opened its own session (Kratos CVE-2024-45042, Zitadel CVE-2025-64103).
//
// A flow first verifies a proof: a password, a passkey or a sign-in at a provider. decideEntry judges the proofs.

// A proof is a method by which a flow has authenticated the user, as a value of the claim `amr` (RFC 8176).
type proof = string

const (
	proofPassword         proof = "pwd"
	proofRememberedDevice proof = amr.Device
)

// An entry is a request for a session. Only newEntry sets its id.
type entry struct {
	user       User // with the flow's changes; the flow must lock its row before a session is opened
	proofs     []proof
	persistent bool
	client     Client
	at         time.Time
	id         SessionID   // of the new session
	replaces   []SessionID // the sessions whose cookie this sign-in overwrites
}

// newEntry sets the id of the new session. If replacedToken is a genuine token, even an old one, newEntry adds the
// session of this token to the sessions that end.
func (e *Engine) newEntry(ctx context.Context, n entry, replacedToken Secret) (entry, error) {
	n.id = SessionID(newID())
	presented, err := e.keys.parseRefresh(ctx, replacedToken)
	if err != nil && CodeOf(err) == CodeInternal {
		return entry{}, err
	}
	if id := SessionID(uuid.UUID(presented.Session).String()); err == nil && !slices.Contains(n.replaces, id) {
		n.replaces = append(n.replaces, id)
	}
	return n, nil
}

// A FactorPolicy says who must have a second factor. Under every policy, accounts that have a factor must use it.
type FactorPolicy struct {
	Required bool
	Roles    []string // only accounts with one of these roles; empty: all
}

func (p FactorPolicy) requires(u User) bool {
	return p.Required && (len(p.Roles) == 0 || slices.ContainsFunc(p.Roles, u.HasRole))
}

// An entryDecision opens a session, asks for a second factor or its enrolment, or refuses.
type entryDecision struct {
	methods   []string         // `amr` of the session
	challenge ChallengePurpose // ChallengeLogin: prove a second factor; ChallengeEnrol: add the first factor
	refusal   *Error           // nil: a session or a challenge follows
}

// decideEntry asks for a second proof in every flow if the account has a factor. The first factor needs a proven
// address: otherwise a stranger who signed up with the address could add one.
func decideEntry(u User, o Options, proofs []proof) entryDecision {
	methods := amr.Complete(proofs)
	enrol := u.Factors == 0 && o.SecondFactor.requires(u) && amr.Level(methods) == amr.LevelOne
	switch {
	case u.Disabled():
		return entryDecision{refusal: accountDisabled()}
	case (o.Signup == SignupVerified || enrol) && !u.Verified():
		return entryDecision{refusal: emailNotVerified()}
	case len(proofs) == 0:
		return entryDecision{refusal: invalidCredentials()}
	case enrol:
		return entryDecision{challenge: ChallengeEnrol}
	case u.Factors > 0 && amr.Level(methods) == amr.LevelOne && !slices.Contains(proofs, proofRememberedDevice):
		return entryDecision{challenge: ChallengeLogin}
	}
	return entryDecision{methods: methods}
}

// requireRecentProof returns CodeStepUpRequired if the last proof of the session is older than age. If the account
// has a factor, the session must have proven a factor, because a password alone is not enough.
func requireRecentProof(u User, s Session, age time.Duration, now time.Time) *Error {
	needs := amr.LevelOne
	if u.Factors > 0 {
		needs = amr.LevelTwo
	}
	old := now.Sub(s.AuthenticatedAt) > age
	if !old && (needs == amr.LevelOne || amr.Level(s.Methods) != amr.LevelOne) {
		return nil
	}
	return &Error{
		Code: CodeStepUpRequired, Detail: "Confirm that it is you, then try again.",
		StepUp: &StepUp{ACR: needs, MaxAge: age},
	}
}

// An admitResult has either an open session or a stored challenge.
type admitResult struct {
	user      User
	session   Session
	challenge *Error  // nil: the session was opened
	events    []Event // events to announce after the commit
}

// admit opens the session of an entry in the flow's transaction. If a second factor is due, admit stores a challenge
// instead. If decideEntry refuses the entry, admit returns the refusal. Before admit inserts the new session, it ends
// the replaced sessions, and the oldest sessions above the limit. In the reverse order, the new session could be the
// oldest after a clock was set back, and end at once. The caller passes the event of the flow. After admit, the flow
// commits and calls issueTokens.
func (e *Engine) admit(ctx context.Context, tx Tx, n entry, event Event) (admitResult, error) {
	decided := decideEntry(n.user, e.opts, n.proofs)
	if device, ok := e.rememberedDevice(n.user, n.client); ok && decided.challenge == ChallengeLogin {
		ok, err := tx.UseDevice(ctx, n.user.ID, device, n.at.Add(-e.opts.RememberDevice), n.at)
		if err != nil {
			return admitResult{}, err
		}
		if ok {
			event = event.withDetail("remembered device")
			decided = decideEntry(n.user, e.opts, append(slices.Clone(n.proofs), proofRememberedDevice))
		}
	}
	if decided.refusal != nil {
		return admitResult{}, decided.refusal
	}
	if decided.challenge != "" {
		return e.storeEntryChallenge(ctx, tx, n, decided.challenge, event)
	}
	session := e.newSession(n, decided.methods)
	events := []Event{event.ofUser(n.user.ID).ofSession(n.id)}
	for _, id := range n.replaces {
		// The replaced session is found by its id only, because it can belong to another user.
		end, ended, err := endSessionInTx(ctx, tx, id, EndedReplaced, events[0].asSessionEnd(EndedReplaced))
		if err != nil {
			return admitResult{}, err
		}
		if ended {
			events = append(events, end)
		}
	}
	cutoffs := e.opts.Sessions.Cutoffs(n.at)
	oldest, err := tx.EndOldestSessions(ctx, n.user.ID, e.opts.MaxSessions-1, EndedTooMany, cutoffs)
	if err != nil {
		return admitResult{}, err
	}
	for _, id := range oldest {
		events = append(events, events[0].asSessionEnd(EndedTooMany).ofSession(id))
	}
	if err := tx.InsertSession(ctx, session); err != nil {
		return admitResult{}, err
	}
	for _, one := range events {
		if err := tx.InsertEvent(ctx, one); err != nil {
			return admitResult{}, err
		}
	}
	return admitResult{user: n.user, session: session, events: events}, nil
}

// rememberedDevice returns the id in the client's token. It reports false if the token was not issued for this
// account. UseDevice must then check whether the device is still remembered.
func (e *Engine) rememberedDevice(u User, c Client) (device string, ok bool) {
	id, ok := rememberedtoken.Parse(string(c.Remembered), e.keys.macSecret(KeyRemember), string(u.ID))
	return uuid.UUID(id).String(), ok && e.opts.RememberDevice > 0
}

// issueTokens announces the events of a committed result. It returns the tokens of the new session and the device
// token, or the challenge as an error.
func (e *Engine) issueTokens(device knowndevice.ID, o admitResult) (*SignIn, error) {
	e.announce(o.events...)
	if o.challenge != nil {
		return nil, o.challenge
	}
	in, err := e.newSignIn(o.user, o.session, o.session.CreatedAt)
	if err != nil {
		return nil, err
	}
	in.DeviceToken = e.signDeviceToken(device, o.user)
	return in, nil
}

func (e *Engine) newSession(n entry, methods []string) Session {
	return Session{
		ID:              n.id,
		UserID:          n.user.ID,
		Rotation:        Rotation{Forgiven: NeverForgiven, RotatedAt: n.at, RotatedBy: AgentOf(n.client.UserAgent)},
		RefreshKey:      e.keys.activeRefreshNumber(n.at),
		Persistent:      n.persistent,
		Device:          n.client.deviceName(),
		Address:         n.client.addressText(),
		AuthenticatedAt: n.at,
		Methods:         methods,
		CreatedAt:       n.at,
		ExpiresAt:       n.at.Add(e.opts.Sessions.Max),
	}
}

// An AdmitRequest is a request for a session without a password.
type AdmitRequest struct {
	User UserID

	// Methods are the proofs that the application has checked: 1 to 3 names of RFC
	// 8176, such as "otp" or "hwk". They become the `amr` of access tokens.
	Methods []string

	Persistent bool   // as in LoginRequest
	Client     Client // as in LoginRequest
	Replaces   Secret // as in LoginRequest
}

// AdmitUser opens a session of an account that the application has authenticated itself, for example by a company's
// directory. It checks no password and counts against no rate limit. A disabled or unproven account is refused, as in
// Login. An account with a factor needs the method "mfa", or one of "otp", "hwk" and "swk" together with another
// method. Codes: CodeSecondFactorRequired, CodeEnrolmentRequired, CodeValidationFailed (methods), CodeNotFound,
// CodeAccountDisabled, CodeEmailNotVerified, CodeTryLater (the address changed meanwhile).
func (o Operator) AdmitUser(ctx context.Context, r AdmitRequest) (*SignIn, error) {
	if problem := amr.Problem(r.Methods); problem != "" {
		return nil, unacceptable(FieldError{"methods", FieldInvalid, problem})
	}
	user, err := o.FindUserByID(ctx, r.User)
	if err != nil {
		return nil, err
	}
	e := o.engine
	wanted, err := e.newEntry(ctx, entry{user: user, proofs: slices.Clone(r.Methods), persistent: r.Persistent,
		client: r.Client, at: e.now()}, r.Replaces)
	if err != nil {
		return nil, err
	}
	var out admitResult
	err = e.store.Update(ctx, func(tx Tx) error {
		wanted.user, err = lockAndReadUser(ctx, tx, user.ID, user.Email)
		if errors.Is(err, ErrNotFound) {
			err = accountChanged()
		}
		if err != nil {
			return err
		}
		event := e.newEvent(EventLogin, r.Client, wanted.at).withDetail("by the application")
		out, err = e.admit(ctx, tx, wanted, event)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e.issueTokens(e.identifyDevice(wanted.user, r.Client.DeviceToken), out)
}

func accountDisabled() *Error {
	return refuse(CodeAccountDisabled, "This account is disabled. Contact the people who run this service.")
}

func emailNotVerified() *Error {
	return refuse(CodeEmailNotVerified,
		"Confirm your email address first: open the link that we emailed you, or request a new one.")
}
