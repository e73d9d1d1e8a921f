package federation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

// The response of a provider is checked in this order:
//
//  1. The attempt is opened. It must match the state and the provider, and be recent. This prevents login CSRF (a
//     response of another browser) and mix-up (a response of another provider).
//  2. The callback counts against the client's rate limit, because the next step sends requests to the provider.
//  3. The provider redeems the code with the verifier of PKCE, and its response is verified (federation/providers).
//  4. The pure function decideIdentity decides which account the identity opens, if any.
//  5. One transaction carries out this decision with conditional SQL statements, and opens the session. If another
//     request has changed the account since step 4, steps 4 and 5 are repeated.

// A CallbackRequest is the response of a provider, as the browser sends it.
type CallbackRequest struct {
	Provider string
	Sealed   watchword.Secret // the value of the attempt's cookie, or ""
	State    string
	Error    string // the parameter error, or ""
	Response
	Client watchword.Client
}

// A Result is the outcome of a response. Without an error, one of SignIn, Code, Linked and Waiting is set. If the
// error is CodeLinkRequired, the field Link is set.
type Result struct {
	Attempt Attempt // zero if the cookie could not be opened
	Info    Info

	SignIn  *watchword.SignIn
	Code    watchword.Secret // if the attempt has a Challenge: the code for Exchange
	Linked  bool             // only for purposeLink: the identity is connected
	Waiting bool             // a mail was sent: the user must first prove the address
	Link    watchword.Secret // with CodeLinkRequired: the handle for FinishLink
}

// Callback completes an attempt. Codes: CodeNotFound, CodeChallengeInvalid, CodeProviderRefused,
// CodeProviderUnavailable, CodeLinkRequired, CodeIdentityTaken, CodeSignupClosed, CodeAccountDisabled,
// CodeEmailNotVerified, CodeEmailTaken, CodeFactorLimit, CodeInvalidCredentials (purposeVerify),
// CodeStepUpRequired (purposeStepUp), CodeSecondFactorRequired, CodeEnrolmentRequired, CodeRateLimited,
// CodeTryLater. If the result is a code, Exchange checks the account and its factors.
func (m *Manager) Callback(ctx context.Context, r CallbackRequest) (res Result, err error) {
	p, err := m.findProvider(r.Provider)
	if err != nil {
		return res, err
	}
	res.Info = p.Info()
	now := m.engine.Now()
	a, err := m.OpenAttempt(r.Sealed)
	if err == nil && !a.matches(r.Provider, r.State, now) {
		err = attemptInvalid()
	}
	if err != nil {
		return res, err
	}
	res.Attempt = a
	if r.Error != "" {
		return res, providerRefused(res.Info.Name)
	}
	if err := m.engine.ChargePasskey(ctx, "provider", r.Client, now); err != nil {
		return res, err
	}
	claims, err := p.Exchange(ctx, a, r.Response)
	if err == nil && !isSubject(claims.Subject) {
		err = errors.New("the subject is empty, too long or not printable")
	}
	if err != nil {
		return res, providerFailure(p, err)
	}
	if r.Client.Remembered == "" {
		r.Client.Remembered = watchword.Secret(a.Device)
	}
	s := verifiedResponse{attempt: a, info: res.Info, claims: claims, client: r.Client, at: now}
	for range maxDecisions {
		if err = m.decideAndApply(ctx, s, &res); !errors.Is(err, errChanged) {
			return res, err
		}
	}
	return res, &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: time.Second,
		Detail: "The account has just changed. Try again."}
}

// maxDecisions is the limit of decisions for one response. If another request changes the account between decision
// and commit, a new decision is made.
const maxDecisions = 5

// errChanged means that another request has changed the account or the session.
var errChanged = errors.New("the account changed meanwhile")

// maxCauseLength is the maximum length of a logged cause, in bytes.
const maxCauseLength = 500

// providerFailure returns the error for a failed exchange with a provider. The cause is logged, so the cause must
// contain no code and no token. Long texts are truncated, because libraries quote the responses of providers.
func providerFailure(p Provider, cause error) error {
	f := &Failure{Refusal: providerUnavailable(p.Info().Name), Provider: p.Info().ID, Cause: cause}
	if errors.Is(cause, ErrNotAllowed) {
		f.Refusal, f.Reason = providerRefused(p.Info().Name), ReasonNotAllowed
	}
	if text := cause.Error(); len(text) > maxCauseLength {
		f.Cause = errors.New(strings.ToValidUTF8(text[:maxCauseLength], "") + "…")
	}
	return f
}

// A Failure means that a provider could not be reached, or that its response is invalid or lacks data that a sign-in
// needs. errors.As finds the Refusal.
type Failure struct {
	Refusal  *watchword.Error
	Provider string
	Reason   string // one of the Reasons, for the message on a page; or ""
	Cause    error  // for the log
}

// Reasons are the values of Failure.Reason.
const (
	ReasonNoAddress  = "NO_ADDRESS"  // CodeProviderRefused: a sign-up needs an address
	ReasonNotAllowed = "NOT_ALLOWED" // CodeProviderRefused: ErrNotAllowed
)

func (f *Failure) Error() string { return fmt.Sprintf("provider %s: %v", f.Provider, f.Cause) }

// Unwrap returns the refusal, which clients see.
func (f *Failure) Unwrap() error { return f.Refusal }

// A verifiedResponse has the verified claims of a provider, and the data with which decideIdentity decides about
// them.
type verifiedResponse struct {
	attempt Attempt
	info    Info
	claims  Claims
	client  watchword.Client
	at      time.Time

	facts          decisionFacts
	newAccount     watchword.User
	storedIdentity Identity            // zero: the identity is connected to no account
	mailToken      watchword.MailToken // only for purposeVerify: of the mailed link
}

// decideAndApply makes one decision. It returns errChanged if another request has changed the account since the
// decision.
func (m *Manager) decideAndApply(ctx context.Context, s verifiedResponse, res *Result) error {
	if err := m.readFacts(ctx, &s); err != nil {
		return err
	}
	verdict := decideIdentity(s.facts)
	switch verdict {
	case verdictSignIn, verdictCreate, verdictAdopt, verdictFirstProof:
		if s.attempt.Challenge != "" {
			code, err := m.issueCode(ctx, s, verdict)
			res.Code = code
			return err
		}
		in, err := m.openSession(ctx, s, verdict)
		res.SignIn = in
		return err
	case verdictLink:
		res.Linked = true
		return m.linkToSessionUser(ctx, s)
	case verdictAlreadyLinked:
		res.Linked = true
		return nil
	case verdictTaken:
		return refuse(CodeIdentityTaken,
			"This "+s.info.Name+" account is connected to another account here. Disconnect it there first.")
	case verdictLinkRequired:
		return m.storePendingLink(ctx, s, res)
	case verdictWait:
		return m.startWaitingSignUp(ctx, s, res)
	case verdictDisabled:
		return m.engine.Failed(ctx, watchword.FactorTry{User: s.facts.addressOwner, Client: s.client, At: s.at},
			refuse(watchword.CodeAccountDisabled, "This account is disabled. Contact the people who run this service."), "")
	case verdictUnconnected:
		return refuse(watchword.CodeStepUpRequired, "This account at "+s.info.Name+
			" is not connected to the account that you are signed in to. Use one that is.")
	case verdictOtherSignUp:
		return refuse(watchword.CodeInvalidCredentials, "This sign-up did not begin with this account at "+s.info.Name+
			". Open the link again, and use the password or account that you signed up with.")
	case verdictClosed:
		return refuse(watchword.CodeSignupClosed, "Sign-up is closed. Contact the people who run this service.")
	}
	return attemptInvalid()
}

// readFacts reads the same rows for every identity, so its duration does not reveal whether an account exists.
func (m *Manager) readFacts(ctx context.Context, s *verifiedResponse) error {
	s.facts = decisionFacts{purpose: s.attempt.Purpose, sessionUser: watchword.User{ID: s.attempt.User},
		linkProven: m.opts.LinkProven, canSignUp: m.signUp && !s.info.NoSignUp}
	wanted, hasAddress := m.accountFromClaims(s.claims)
	s.newAccount, s.facts.isAddressVouched = wanted, hasAddress && vouchesForAddress(s.info, s.claims)
	if s.facts.purpose == purposeVerify {
		if err := m.readMailedLink(ctx, s); err != nil {
			return err
		}
	}
	return m.store.View(ctx, func(tx Tx) error {
		known, err := tx.Identity(ctx, s.claims.Issuer, s.claims.Subject)
		if err == nil {
			s.storedIdentity = known
			s.facts.identityOwner, err = tx.User(ctx, known.UserID)
		}
		if err := ignoreNotFound(err); err != nil {
			return err
		}
		s.facts.addressOwner, err = tx.UserByEmail(ctx, s.newAccount.Email)
		if err := ignoreNotFound(err); err != nil {
			return err
		}
		if s.facts.purpose == purposeLink {
			s.facts.sessionUser, err = m.liveSessionUser(ctx, tx, s.attempt.Session, s.at)
			return err
		}
		return nil
	})
}

func ignoreNotFound(err error) error {
	if errors.Is(err, watchword.ErrNotFound) {
		return nil
	}
	return err
}

// liveSessionUser returns the zero User for a session that has ended.
func (m *Manager) liveSessionUser(
	ctx context.Context, tx Tx, id watchword.SessionID, now time.Time,
) (watchword.User, error) {
	session, user, err := tx.Session(ctx, id)
	if err != nil {
		return watchword.User{}, ignoreNotFound(err)
	}
	if session.EndedBy(m.engine.Cutoffs(now)) != "" || user.Disabled() {
		return watchword.User{}, nil
	}
	return user, nil
}

// identityRow returns the identity as a row. If the identity is stored already, the row has the id, the user and
// LinkedAt of the stored row.
func (s verifiedResponse) identityRow(id watchword.UserID) Identity {
	one := Identity{ID: newID(), UserID: id, Provider: s.info.ID, Issuer: s.claims.Issuer, Subject: s.claims.Subject,
		LinkedAt: s.at, LastUsedAt: s.at}
	if s.storedIdentity.ID != "" {
		one.ID, one.UserID, one.LinkedAt = s.storedIdentity.ID, s.storedIdentity.UserID, s.storedIdentity.LinkedAt
	}
	one.Email = string(s.newAccount.Email)
	return one
}

// openSession can also return the challenge of a second factor, as its error.
func (m *Manager) openSession(ctx context.Context, s verifiedResponse, v verdict) (*watchword.SignIn, error) {
	begun, err := m.engine.Begin(ctx, watchword.User{}, watchword.AdmitRequest{
		Methods: provenMethods(s.info, s.claims), Persistent: true, Client: s.client,
		Replaces: watchword.Secret(s.attempt.Replaces)}, s.at)
	if err != nil {
		return nil, err
	}
	var admitted watchword.Admitted
	var events []watchword.Event
	var user watchword.User
	err = m.store.Update(ctx, func(tx Tx) error {
		var owner watchword.UserID
		if owner, events, err = m.applyVerdict(ctx, tx, s, v); err != nil {
			return err
		}
		if user, err = tx.User(ctx, owner); err != nil {
			return err
		}
		admitted, err = m.engine.Admit(ctx, tx, begun.As(user, s.info.ID))
		return err
	})
	switch watchword.CodeOf(err) {
	case watchword.CodeMailTokenInvalid, watchword.CodeChallengeInvalid:
		return nil, errChanged
	case watchword.CodeAccountDisabled:
		var refusal *watchword.Error
		errors.As(err, &refusal)
		return nil, m.engine.Failed(ctx, watchword.FactorTry{User: user, Client: s.client, At: s.at}, refusal, "")
	}
	if err != nil {
		return nil, err
	}
	m.engine.Announce(events...)
	return m.engine.IssueTokens(admitted)
}

// applyVerdict connects the identity to the account, in the transaction that opens the session. It may first create
// the account, or take it over. It returns the events to announce, and errChanged if the account has changed since
// the decision.
func (m *Manager) applyVerdict(
	ctx context.Context, tx Tx, s verifiedResponse, v verdict,
) (id watchword.UserID, events []watchword.Event, err error) {
	owner, kind := s.facts.addressOwner, eventIdentityLinked
	switch v {
	case verdictSignIn:
		// Every flow locks the account first, which prevents deadlocks.
		known := s.facts.identityOwner
		if err := requireRow(tx.LockUser(ctx, known.ID, known.Email)); err != nil {
			return "", nil, err
		}
		return known.ID, nil, requireRow(tx.UseIdentity(ctx, s.identityRow(known.ID)))
	case verdictAdopt:
		event, err := m.linkIdentity(ctx, tx, s, owner)
		return owner.ID, []watchword.Event{event}, err
	case verdictCreate:
		owner, kind = s.newAccount, watchword.EventSignup
	}
	if s.newAccount.Name != "" {
		owner.Name = s.newAccount.Name
	}
	owner.PasswordHash, owner.VerifiedAt = "", s.at
	if err := m.engine.ProveFirst(ctx, tx, s.facts.addressOwner, s.mailToken, owner); err != nil {
		return "", nil, err
	}
	event, err := m.insertIdentity(ctx, tx, s, owner, kind)
	return owner.ID, []watchword.Event{event}, err
}

// insertIdentity connects the identity to the account u, and stores an event of the given kind. It returns errChanged
// if the identity is already connected.
func (m *Manager) insertIdentity(
	ctx context.Context, tx Tx, s verifiedResponse, u watchword.User, kind watchword.EventKind,
) (watchword.Event, error) {
	event := m.engine.Event(kind, u, s.attempt.Session, s.client, s.at)
	event.Detail = s.info.ID
	if err := requireRow(tx.InsertIdentity(ctx, s.identityRow(u.ID))); err != nil {
		return event, err
	}
	return event, tx.InsertEvent(ctx, event)
}

// requireRow returns errChanged if a conditional SQL statement changed no row.
func requireRow(ok bool, err error) error {
	if err == nil && !ok {
		return errChanged
	}
	return err
}
