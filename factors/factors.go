package factors

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/passkey"
	"github.com/watchword-auth/watchword/internal/recoverycode"
	"github.com/watchword-auth/watchword/internal/totp"
)

// Options configure a Manager. The zero value of each field selects its default.
type Options struct {
	// EnrolmentOff prevents users from adding factors. Accounts with a factor still need it to sign in.
	// Default: false.
	EnrolmentOff bool

	// Issuer is the name of this service that an authenticator app shows. Default: the host of the public URL.
	Issuer string

	// NoPasskeys disables passkeys. Existing passkeys stay in the list of an account.
	NoPasskeys bool

	// RPID is the domain that passkeys are bound to: the host of the public URL or a parent domain.
	// A later change makes all existing passkeys unusable. Default: the host of the public URL.
	RPID string

	// Origins are the origins of other front-ends that can use passkeys. An origin is ignored unless its host is RPID
	// or a subdomain of it.
	Origins []string

	// Providers are the ids of the providers that sign users in (package federation). An account without a
	// password keeps its last passkey, unless it has an identity of a provider in this list. Default:
	// none.
	Providers []string
}

// A Manager runs the flows of second factors. It is safe for concurrent use.
type Manager struct {
	engine watchword.Inside
	store  Store
	opts   Options

	passkeys *passkey.Party // nil: off
}

// New returns a Manager for an engine and the store of that engine.
func New(e *watchword.Engine, store Store, opts Options) *Manager {
	if opts.Issuer == "" {
		opts.Issuer = hostOf(e.PublicURL())
	}
	return &Manager{engine: e.Inside(), store: store, opts: opts, passkeys: newRelyingParty(e.PublicURL(), opts)}
}

// A Proof is a client's proof of one second factor. Exactly one exported field is set.
type Proof struct {
	TOTP         watchword.Secret
	RecoveryCode watchword.Secret
	Passkey      []byte // AuthenticationResponseJSON of the browser

	ceremony watchword.Secret // the ceremony that Passkey responds to
}

// kind returns the kind of the proof. Wrong proofs are counted separately for each kind, so wrong codes of an
// authenticator do not block recovery codes. The returned text is part of the stored key of the counter.
func (p Proof) kind() (kind string, err error) {
	var given []string
	if p.TOTP != "" {
		given = append(given, string(KindTOTP))
	}
	if p.RecoveryCode != "" {
		given = append(given, amr.Recovery)
	}
	if len(p.Passkey) > 0 {
		given = append(given, string(KindPasskey))
	}
	if len(given) == 1 {
		return given[0], nil
	}
	const message = "Send one of totp, recoveryCode and passkey."
	return "", &watchword.Error{
		Code: watchword.CodeValidationFailed, Detail: message,
		Fields: []watchword.FieldError{{Field: "totp", Code: watchword.FieldRequired, Message: message}},
	}
}

// A verifiedProof is a correct proof, but a concurrent request can still use the same proof. The method consume marks
// the proof as used.
type verifiedProof struct {
	method       string // a value of the token's claim `amr`
	userVerified bool   // by the authenticator of a passkey
	factor       Factor // the TOTP, or the passkey with its new counter
	timeStep     int64
	codeHash     string // of a recovery code
}

// amrValues are added to the session.
func (c verifiedProof) amrValues() []string {
	if c.userVerified {
		return []string{c.method, amr.Verified}
	}
	return []string{c.method}
}

// checkProof verifies a proof. If the proof is wrong, checkProof counts a failed attempt and returns an error.
func (m *Manager) checkProof(ctx context.Context, t watchword.FactorTry, all []Factor, p Proof) (verifiedProof, error) {
	if len(p.Passkey) > 0 {
		return m.checkPasskey(ctx, t, all, p)
	}
	proven, ok, err := m.matchCode(t.User, all, p, t.At)
	if err == nil && !ok {
		err = m.engine.Failed(ctx, t, codeWrong(), "")
	}
	return proven, err
}

func codeWrong() *watchword.Error {
	return refuse(watchword.CodeFactorWrong, "This code is wrong or was used already. Enter the current code.")
}

// refuseUsedProof counts a failed attempt for a proof that another request has used already.
func (m *Manager) refuseUsedProof(ctx context.Context, t watchword.FactorTry, c verifiedProof) error {
	if c.factor.Kind == KindPasskey {
		return m.engine.Failed(ctx, t, passkeyWrong(), reasonCounter)
	}
	return m.engine.Failed(ctx, t, codeWrong(), "")
}

// matchCode reports false if the TOTP code is wrong. It only parses a recovery code, which consume compares with the
// stored codes.
func (m *Manager) matchCode(u watchword.User, all []Factor, p Proof, now time.Time) (verifiedProof, bool, error) {
	if p.RecoveryCode != "" {
		normal, ok := recoverycode.Normalize(string(p.RecoveryCode))
		hash := recoverycode.Hash(m.engine.MACSecret(watchword.KeyRecovery), string(u.ID), normal)
		return verifiedProof{method: amr.Recovery, codeHash: hash}, ok, nil
	}
	var found verifiedProof
	ok := false
	for _, f := range all {
		if f.Kind != KindTOTP {
			continue
		}
		secret, err := m.engine.Open(watchword.FactorContext(f.ID), f.Sealed)
		if err != nil {
			return verifiedProof{}, false, err // sealed under another master key: an operator must reset the factor
		}
		step, right, err := totp.Match(secret, totp.Normalize(string(p.TOTP)), now, f.Counter)
		if err != nil {
			return verifiedProof{}, false, err
		}
		if right {
			found, ok = verifiedProof{method: "otp", factor: f, timeStep: step}, true
		}
	}
	return found, ok, nil
}

// consume marks the proof as used, in the transaction of the action that needs the proof. It reports false if another
// request has used the proof already.
func (c verifiedProof) consume(ctx context.Context, tx Tx, u watchword.User, now time.Time) (bool, error) {
	switch {
	case c.method == amr.Recovery:
		return tx.TakeRecoveryCode(ctx, u.ID, c.codeHash)
	case c.factor.Kind == KindPasskey:
		return c.consumePasskey(ctx, tx, now)
	}
	return tx.ClaimStep(ctx, c.factor, c.timeStep, now)
}

// The kinds of the events that only this package records. docs/logs.md lists all kinds.
const (
	eventRecoveryUsed  watchword.EventKind = "recovery_code_used"
	eventRecoveryCodes watchword.EventKind = "recovery_codes_created"
	eventStepUp        watchword.EventKind = "step_up"
	eventRemembered    watchword.EventKind = "device_remembered" // this browser skips the second factor from now on
	eventForgotten     watchword.EventKind = "device_forgotten"  // the user removed this device
)

// errProofUsed rolls back a transaction if another request has already used its proof.
var errProofUsed = errors.New("the proof was used already")

// recordProofUse stores and returns the events of a used proof, and queues the notices. Most proofs have neither. u
// is the account before the use.
func (m *Manager) recordProofUse(
	ctx context.Context, tx Tx, u watchword.User, c verifiedProof, event watchword.Event,
) ([]watchword.Event, error) {
	switch {
	case c.method == amr.Recovery:
		return m.recordRecoveryCode(ctx, tx, u, event)
	case c.factor.Unproven && c.userVerified && u.Factors == 0:
		return m.recordFirstPasskey(ctx, tx, c.factor, event)
	}
	return nil, nil
}

// recordFirstPasskey records that a passkey from an automatic upgrade has become the first factor, if the address is
// proven. The other sessions end, because they were opened without this factor.
func (m *Manager) recordFirstPasskey(
	ctx context.Context, tx Tx, f Factor, event watchword.Event,
) ([]watchword.Event, error) {
	u, err := tx.User(ctx, f.UserID)
	if err != nil || u.Factors == 0 {
		return nil, err
	}
	if _, err := tx.EndSessions(ctx, u.ID, event.SessionID, watchword.EndedFactor, event.At); err != nil {
		return nil, err
	}
	event.Kind, event.Detail = watchword.EventFactorAdded, "passkey, first use"
	n := watchword.Mail{Kind: watchword.MailTwoStepOn, Facts: watchword.MailFacts{Factor: f.Name}}
	if err := m.engine.Notify(ctx, tx, u, event, n); err != nil {
		return nil, err
	}
	return []watchword.Event{event}, tx.InsertEvent(ctx, event)
}

// recordRecoveryCode stores the event of a used recovery code. It queues a mail that tells the user how many codes
// are left.
func (m *Manager) recordRecoveryCode(
	ctx context.Context, tx Tx, u watchword.User, event watchword.Event,
) ([]watchword.Event, error) {
	codes, err := tx.RecoveryCodes(ctx, event.UserID)
	if err != nil {
		return nil, err
	}
	event.Kind, event.Detail = eventRecoveryUsed, leftOver(codes.Left)
	n := watchword.Mail{Kind: watchword.MailRecoveryUsed, Facts: watchword.MailFacts{Left: codes.Left}}
	if err := m.engine.Notify(ctx, tx, u, event, n); err != nil {
		return nil, err
	}
	return []watchword.Event{event}, tx.InsertEvent(ctx, event)
}

// factorMail returns the notice for changeKind, which is "added" or "removed". After a removal, factorsLeft is how many
// factors a sign-in still asks for.
func factorMail(f Factor, changeKind string, factorsLeft int) watchword.Mail {
	kind := watchword.MailKind(string(f.Kind) + "_" + changeKind)
	return watchword.Mail{Kind: kind, Facts: watchword.MailFacts{Factor: f.Name, Left: factorsLeft}}
}

// newID returns a UUID of version 7, so that rows sort by age, as the ids of the engine do.
func newID() string { return uuid.Must(uuid.NewV7FromReader(rand.Reader)).String() }

func refuse(code watchword.Code, detail string) *watchword.Error {
	return &watchword.Error{Code: code, Detail: detail}
}

func challengeInvalid() *watchword.Error {
	return refuse(watchword.CodeChallengeInvalid, "This step was used already or took too long. Start again.")
}
