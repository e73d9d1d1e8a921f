package watchword

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/challenge"
	"github.com/watchword-auth/watchword/internal/knowndevice"
	"github.com/watchword-auth/watchword/internal/storable"
)

// A sign-in that needs a second factor stops at a challenge: a row with the proofs of the sign-in, and a handle for
// the client. Inside.Resume and Inside.Admit continue it after package factors has verified the factor.

// A ChallengePurpose says what a challenge is for. A challenge works for its purpose only.
//
// Unstable: only package factors uses it.
type ChallengePurpose string

const (
	ChallengeLogin ChallengePurpose = "login" // a sign-in that waits for a second factor
	ChallengeTOTP  ChallengePurpose = "totp"  // a TOTP that waits for its first code
	ChallengeEnrol ChallengePurpose = "enrol" // a sign-in that waits for the first factor of its account
)

// ChallengeAttempts is how many codes can be tried for one challenge.
//
// Unstable: only package factors uses it.
const ChallengeAttempts = 5

// A Challenge is an unfinished sign-in or enrolment: one row, bound to one purpose.
//
// Unstable: only stores and package factors use it.
type Challenge struct {
	ID               string
	Purpose          ChallengePurpose
	UserID           UserID
	SessionID        SessionID // the session that adds a factor; empty for a sign-in
	FactorsChangedAt time.Time // FactorsChangedAt of the user when the challenge was created
	Sealed           []byte    // data for the purpose, sealed under the master key
	Attempts         int
	CreatedAt        time.Time
	ExpiresAt        time.Time
}

// A SealedFactor is the sealed secret of a factor. Operator.Reseal reads it.
//
// Unstable: only stores use it.
type SealedFactor struct {
	ID     string
	Sealed []byte
}

// An OfferedFactor is a factor of the account, with the fields that a ChallengeOffer needs.
//
// Unstable: only stores and package factors use it.
type OfferedFactor struct {
	Kind         string
	CredentialID string // of a passkey; otherwise empty
	Record       string // public data of a passkey (passkey.Record), as JSON; otherwise empty
}

// FactorContext returns the additional authenticated data for the sealed secret of a factor. It contains the id, so
// that a secret can't be moved to another row.
//
// Unstable: only package factors uses it.
func FactorContext(id string) string { return "factor/" + id }

// ChallengeLife is how long a challenge can be used.
//
// Unstable: only package factors uses it.
const ChallengeLife = 10 * time.Minute

// A ChallengeOffer tells a client how to continue a sign-in.
type ChallengeOffer struct {
	Handle      Secret        // works once, for one purpose only
	Methods     []string      // totp, passkey, recovery
	Passkey     []byte        // WebAuthn options, as JSON; empty without a passkey
	ExpiresIn   time.Duration // ChallengeLife
	RememberFor time.Duration // how long the factor can be skipped afterwards, or 0
	factors     []OfferedFactor
}

// A pendingSignIn is sealed in the challenge of an unfinished sign-in.
type pendingSignIn struct {
	Proofs     []proof     `json:"proofs"`
	Persistent bool        `json:"persistent"`
	Replaces   []SessionID `json:"replaced"`
	Password   []byte      `json:"password"` // SHA-256 of the password hash: a new password makes the challenge invalid
}

func passwordFingerprint(u User) []byte {
	sum := sha256.Sum256([]byte(u.PasswordHash))
	return sum[:]
}

// storeEntryChallenge stores a challenge. It returns a result with the refusal that contains the challenge's handle.
// The caller returns this refusal to the client after the commit.
func (e *Engine) storeEntryChallenge(
	ctx context.Context, tx Tx, n entry, purpose ChallengePurpose, event Event,
) (admitResult, error) {
	plain, err := json.Marshal(pendingSignIn{n.proofs, n.persistent, n.replaces, passwordFingerprint(n.user)})
	if err != nil {
		return admitResult{}, err
	}
	c, handle := e.Inside().NewChallenge(purpose, n.user, "", plain, n.at)
	offered, err := tx.InsertLoginChallenge(ctx, c)
	if err != nil {
		return admitResult{}, err
	}
	event.Kind = eventLoginChallenged
	event = event.ofUser(n.user.ID)
	refusal := &Error{
		Code:   CodeSecondFactorRequired,
		Detail: "Enter the code of your authenticator app, or a recovery code.",
		Challenge: &ChallengeOffer{Handle: handle, Methods: []string{"totp", "recovery"}, ExpiresIn: ChallengeLife,
			factors: offered},
	}
	if purpose == ChallengeEnrol {
		refusal.Code, refusal.Challenge.Methods = CodeEnrolmentRequired, []string{"totp"}
		refusal.Detail = "This account needs two-step sign-in. Set it up to continue."
	}
	return admitResult{user: n.user, events: []Event{event}, challenge: refusal}, tx.InsertEvent(ctx, event)
}

func challengeInvalid() *Error {
	return refuse(CodeChallengeInvalid, "This step was used already or took too long. Sign in again.")
}

func challengeContext(c Challenge) string { return "challenge/" + string(c.Purpose) + "/" + c.ID }

// Inside gives other packages, such as factors, access to the engine's mechanisms.
//
// Unstable: for packages of this module.
type Inside struct{ engine *Engine }

// Inside returns the engine's mechanisms.
//
// Unstable: for packages of this module.
func (e *Engine) Inside() Inside { return Inside{engine: e} }

// Operator returns an Operator whose events contain the name. Each change of an account calls checkChange at the
// end of its transaction. An error of checkChange refuses the change.
func (i Inside) Operator(name string, checkChange func(context.Context, Tx) error) Operator {
	return Operator{engine: i.engine, name: storable.Text(name, maxDevice), check: checkChange}
}

// Now returns the current time. Store returns the engine's store. Offered returns the factors of a new
// ChallengeOffer, or nil.
func (i Inside) Now() time.Time                            { return i.engine.now() }
func (i Inside) Store() Store                              { return i.engine.store }
func (i Inside) Offered(o *ChallengeOffer) []OfferedFactor { return o.factors }

// PasswordSum identifies the current password. A sealed value that contains it becomes invalid with a new password.
func (i Inside) PasswordSum(u User) []byte { return passwordFingerprint(u) }

// ParseUser returns a new account with these fields, and the problems of the fields.
func (i Inside) ParseUser(n NewUser, now time.Time) (User, []FieldError) {
	user, problems := newUser(n, now)
	roles, bad := i.engine.opts.parseRoles(n.Roles)
	user.Roles = roles
	return user, append(problems, nonNilProblems(bad)...)
}

// Fresh refuses a session that needs a newer or stronger proof to change factors. Codes: CodeStepUpRequired.
func (i Inside) Fresh(u User, s Session, now time.Time) *Error {
	return requireRecentProof(u, s, i.engine.opts.StepUpAge, now)
}

// Requires reports whether an account must have a second factor.
func (i Inside) Requires(u User) bool { return i.engine.opts.SecondFactor.requires(u) }

// Signup returns the mode of sign-up, and whether a sign-up mails a link that verifies the address.
func (i Inside) Signup() (mode SignupMode, mails bool) {
	return i.engine.opts.Signup, !i.engine.opts.NoVerifyMail
}

// PasswordMin and RememberFor return Options.PasswordMin and Options.RememberDevice.
func (i Inside) PasswordMin() int           { return i.engine.opts.PasswordMin }
func (i Inside) RememberFor() time.Duration { return i.engine.opts.RememberDevice }

// Event returns an event of a client's session.
func (i Inside) Event(kind EventKind, u User, s SessionID, c Client, now time.Time) Event {
	return i.engine.newEvent(kind, c, now).ofUser(u.ID).ofSession(s)
}

// Notify queues a mail that tells the user about an event. It uses only Kind, Facts.Factor and Facts.Left of m.
func (i Inside) Notify(ctx context.Context, tx Tx, u User, ev Event, m Mail) error {
	m, facts := newMail(m.Kind, u, ev), m.Facts
	m.Facts.Factor, m.Facts.Left = facts.Factor, facts.Left
	return i.engine.queueMail(ctx, tx, m)
}

// Announce logs and counts committed events. It also wakes the outbox, which may have notices of these events.
func (i Inside) Announce(events ...Event) {
	i.engine.announce(events...)
	i.engine.mailPosted.Set()
}

// Seal encrypts under the master key, bound to a context.
func (i Inside) Seal(context string, plain []byte) []byte {
	return i.engine.keys.box.Seal(context, plain)
}

// Open decrypts what Seal returned for the same context.
func (i Inside) Open(context string, sealed []byte) ([]byte, error) {
	return i.engine.keys.box.Open(context, sealed)
}

// MACSecret returns the secret for a KeyUse. The secret never changes.
func (i Inside) MACSecret(use KeyUse) []byte { return i.engine.keys.macSecret(use) }

// Cutoffs returns the times that decide which sessions are alive at now.
func (i Inside) Cutoffs(now time.Time) Cutoffs { return i.engine.opts.Sessions.Cutoffs(now) }

// A FactorTry is one check of a second factor. Each Kind has its own counter.
//
// Unstable: only package factors uses it.
type FactorTry struct {
	User   User
	Kind   string
	Client Client
	At     time.Time
}

// ChargeFactor counts an attempt against the account's limit on wrong factors, and returns the Charge for Refund.
// Known devices have a separate counter, so a stranger who has the password can't lock the owner out.
func (i Inside) ChargeFactor(ctx context.Context, tx Tx, t FactorTry) (Charge, error) {
	purpose := limitFailedFactors + limitPurpose(t.Kind)
	if i.engine.identifyDevice(t.User, t.Client.DeviceToken) != (knowndevice.ID{}) {
		purpose += knownDeviceSuffix
	}
	charge := i.engine.opts.Limits.FailedFactors.newCharge(purpose, string(t.User.ID), t.At)
	wait, err := takeCharges(ctx, tx, limitedCharges(charge))
	if err == nil && wait > 0 {
		err = rateLimited(wait)
	}
	return charge, err
}

// Reauthenticate checks the password of a signed-in user. Without a password, it checks the age of the last proof.
func (i Inside) Reauthenticate(ctx context.Context, who Identity, given Secret, c Client, now time.Time) error {
	return i.engine.reauthenticate(ctx, who, given, c, now)
}

// KeepAdmin refuses a transaction that leaves no enabled administrator. Codes: CodeLastAdmin.
func (i Inside) KeepAdmin(ctx context.Context, tx Tx) error { return requireRemainingAdmin(ctx, tx) }

// HoldPassword locks the account. Codes: CodeTryLater (password or factors changed since u was read, or disabled).
func (i Inside) HoldPassword(ctx context.Context, tx Tx, u User) error {
	return lockAndSetPassword(ctx, tx, u, u.PasswordHash)
}

// CheckToken refuses a change of roles or metadata that makes an access token too long. It accepts a change that makes
// the token shorter. The caller locks the account, and only then reads the current user. Codes: CodeValidationFailed.
func (i Inside) CheckToken(current, changed User) error {
	return i.engine.opts.checkToken(current, changed)
}

// Hold locks the account with an id and then reads it. Codes: CodeNotFound, CodeTryLater (address just changed).
func (i Inside) Hold(ctx context.Context, tx Tx, id UserID) (User, error) {
	return lockUserByID(ctx, tx, id)
}

// OutdateTokens makes the outstanding access tokens of a user invalid, in this transaction. It also stores u.Roles
// again, so u must have been read after the account was locked (Hold).
func (i Inside) OutdateTokens(ctx context.Context, tx Tx, u User, now time.Time) error {
	return tx.SetRoles(ctx, u.ID, u.Roles, accesstoken.NextSecond(now))
}

// SessionEnded returns the refusal for a session that is no longer alive.
func (i Inside) SessionEnded() error { return sessionEnded("", "") }

// AccessToken creates an access token for the current state of a session.
func (i Inside) AccessToken(u User, s Session, now time.Time) (Secret, time.Duration, error) {
	token, life, err := i.engine.signAccessToken(u, s, now)
	return Secret(token), life, err
}

// Refund refunds a charge, because the factor was right.
func (i Inside) Refund(ctx context.Context, tx Tx, c Charge) error { return refundCharges(ctx, tx, c) }

// ChargePasskey counts a step of a passwordless sign-in against the client's limit. Each step has its own counter.
func (i Inside) ChargePasskey(ctx context.Context, step string, c Client, now time.Time) error {
	purpose := limitPasskeyPerClient + limitPurpose(step)
	return i.engine.chargeInOwnTx(ctx, i.engine.opts.Limits.PasskeyPerClient.newCharge(purpose, c.networkKey(), now))
}

// ChargeServiceKey counts a request against the limit l of a service key. Above the limit, it returns the wait.
func (i Inside) ChargeServiceKey(ctx context.Context, tx Tx, l Limit, id string, at time.Time) (time.Duration, error) {
	return takeCharges(ctx, tx, limitedCharges(l.newCharge(limitServiceKey, id, at)))
}

// Failed records a failed sign-in and returns the refusal. If eventReason is empty, the event contains the
// code of the refusal instead.
func (i Inside) Failed(ctx context.Context, t FactorTry, refusal *Error, eventReason string) error {
	a := passwordAttempt{at: t.At, client: t.Client, user: t.User, eventReason: eventReason}
	return i.engine.recordFailedLogin(ctx, a, refusal)
}

// NewChallenge returns a challenge with the encrypted text, and the handle that clients present to continue.
func (i Inside) NewChallenge(
	p ChallengePurpose, u User, s SessionID, plain []byte, now time.Time,
) (c Challenge, handle Secret) {
	c = Challenge{ID: newID(), Purpose: p, UserID: u.ID, SessionID: s, FactorsChangedAt: u.FactorsChangedAt,
		CreatedAt: now, ExpiresAt: now.Add(ChallengeLife)}
	c.Sealed = i.Seal(challengeContext(c), plain)
	return c, i.Handle(p, c.ID)
}

// Handle returns the handle of a challenge. A WebAuthn ceremony uses the handle as its WebAuthn challenge. The
// browser's response therefore contains the handle, and the handle contains the challenge's id.
func (i Inside) Handle(p ChallengePurpose, id string) Secret {
	return Secret(challenge.Sign(i.engine.keys.box.Derive("challenge"), string(p), uuid.MustParse(id)))
}

// ChallengeID returns the id in a handle of this purpose, without a query. Codes: CodeChallengeInvalid.
func (i Inside) ChallengeID(handle Secret, p ChallengePurpose) (string, error) {
	id, ok := challenge.Parse(string(handle), i.engine.keys.box.Derive("challenge"), string(p))
	if !ok {
		return "", challengeInvalid()
	}
	return uuid.UUID(id).String(), nil
}

// OpenChallenge returns what NewChallenge sealed. Codes: CodeChallengeInvalid.
func (i Inside) OpenChallenge(c Challenge) ([]byte, error) {
	plain, err := i.Open(challengeContext(c), c.Sealed)
	if err != nil {
		return nil, challengeInvalid() // the master key was replaced after the challenge was stored
	}
	return plain, nil
}

// A Resumed is a sign-in whose proofs are verified. Admit can complete it.
//
// Unstable: only package factors uses it.
type Resumed struct {
	entry       entry
	password    []byte
	eventDetail string // set by As
}

// Begin starts a sign-in of u with the proofs in r.Methods. It uses u instead of r.User.
func (i Inside) Begin(ctx context.Context, u User, r AdmitRequest, now time.Time) (Resumed, error) {
	n := entry{user: u, proofs: r.Methods, persistent: r.Persistent, client: r.Client, at: now}
	started, err := i.engine.newEntry(ctx, n, r.Replaces)
	return Resumed{entry: started, password: passwordFingerprint(u)}, err
}

// Resume continues a sign-in that a challenge has interrupted. It uses only Methods, Client and Replaces of r.
func (i Inside) Resume(ctx context.Context, c Challenge, u User, r AdmitRequest, now time.Time) (Resumed, error) {
	plain, err := i.OpenChallenge(c)
	if err != nil {
		return Resumed{}, err
	}
	var p pendingSignIn
	if err := json.Unmarshal(plain, &p); err != nil {
		return Resumed{}, fmt.Errorf("challenge of a sign-in: %w", err)
	}
	u.FactorsChangedAt = c.FactorsChangedAt // Admit compares this time, and refuses if the factors have changed since
	n := entry{user: u, proofs: append(p.Proofs, r.Methods...), persistent: p.Persistent, client: r.Client, at: now}
	n.replaces = p.Replaces
	started, err := i.engine.newEntry(ctx, n, r.Replaces)
	return Resumed{entry: started, password: p.Password}, err
}

// As changes the account of the sign-in to u, and sets the detail of its event. Read u in the transaction that calls
// Admit. After As, Admit may store a challenge for a second factor instead of opening a session.
func (r Resumed) As(u User, detail string) Resumed {
	r.entry.user, r.password, r.eventDetail = u, passwordFingerprint(u), detail
	return r
}

// User, Client and At return the account, the client and the time of the sign-in.
func (r Resumed) User() User     { return r.entry.user }
func (r Resumed) Client() Client { return r.entry.client }
func (r Resumed) At() time.Time  { return r.entry.at }

// An Admitted is the result of Admit: a new session, or a challenge if As was called. It is valid only after the
// commit.
//
// Unstable: only package factors uses it.
type Admitted struct {
	out    admitResult
	device knowndevice.ID
}

// Session returns the id of the new session.
func (a Admitted) Session() SessionID { return a.out.session.ID }

// Admit opens the session of a resumed sign-in, if password, factors and state have not changed since the
// challenge. Codes: CodeChallengeInvalid, CodeFactorWrong, CodeAccountDisabled, CodeEmailNotVerified.
func (i Inside) Admit(ctx context.Context, tx Tx, r Resumed) (Admitted, error) {
	u := r.entry.user
	if u.Disabled() {
		return Admitted{}, accountDisabled()
	}
	same, err := subtle.ConstantTimeCompare(passwordFingerprint(u), r.password) == 1, error(nil)
	if same {
		same, err = tx.ReplacePassword(ctx, u, u.PasswordHash)
	}
	if err == nil && !same {
		err = challengeInvalid()
	}
	if err != nil {
		return Admitted{}, err
	}
	event := i.engine.newEvent(EventLogin, r.entry.client, r.entry.at).withDetail(r.eventDetail)
	out, err := i.engine.admit(ctx, tx, r.entry, event)
	if err == nil && out.challenge != nil && r.eventDetail == "" {
		err = refuse(CodeFactorWrong, "This proof is of the same kind as your first one. Use another factor.")
	}
	return Admitted{out, i.engine.identifyDevice(u, r.entry.client.DeviceToken)}, err
}

// ProveFirst records the first proof of the address owner.Email. The account of this address then belongs to owner. If
// a stranger created an account with the address, the caller passes this account, otherwise the zero User. The caller
// also passes the link of the mail, or the zero value if a provider proved the address. Codes: CodeMailTokenInvalid (a
// concurrent change), CodeEmailTaken.
func (i Inside) ProveFirst(ctx context.Context, tx Tx, account User, link MailToken, owner User) error {
	link.Email = owner.Email
	_, err := i.engine.proveFirst(ctx, tx, mailbox{link: link, account: account}, owner)
	return err
}

// WaitForProof stores a sign-up until its address is proven, and mails a link to that address. The caller also passes
// the user's account at a provider, as bytes. The result does not reveal whether the address has an account.
func (i Inside) WaitForProof(ctx context.Context, u User, identity []byte, c Client, now time.Time) error {
	return i.engine.storeWaitingSignup(ctx, u.Email, signupDetails{u.Name, u.Locale, "", identity}, c, now)
}

// SignupIdentity returns the account at a provider that WaitForProof stored with a sign-up, or nil.
func (i Inside) SignupIdentity(s Signup) ([]byte, error) {
	details, err := i.engine.openSignup(s)
	return details.Identity, err
}

// OpenVerifyLink finds the mailed link that contains the token. It also returns the sign-ups that wait for a proof of
// the link's address. Codes: CodeMailTokenInvalid, CodeSignupClosed.
func (i Inside) OpenVerifyLink(ctx context.Context, token Secret, now time.Time) (MailToken, []Signup, error) {
	box, err := i.engine.openLink(ctx, token, now, MailVerify)
	return box.link, box.waiting, err
}

// IssueTokens returns the tokens of a committed sign-in.
func (i Inside) IssueTokens(a Admitted) (*SignIn, error) {
	return i.engine.issueTokens(a.device, a.out)
}
