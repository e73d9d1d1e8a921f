package watchword

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/feedlog"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/steadyclock"
	"github.com/watchword-auth/watchword/internal/storable"
	"github.com/watchword-auth/watchword/internal/tally"
	"github.com/watchword-auth/watchword/internal/wake"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Options configure an Engine. PublicURL, MasterKey and Mailer are required; other zero values mean defaults.
type Options struct {
	// PublicURL is the URL at which clients reach the server, without a trailing
	// slash. It is also the issuer of tokens, unless Issuer is set. Required.
	PublicURL string

	// LinkOrigins are the front-ends whose pages a reset link may open, as exact origins such as
	// "https://app.example.com". Anyone who requests a mail chooses one of them. List only trusted front-ends,
	// because their pages receive the token, which can reset the password of any account. Default: none.
	LinkOrigins []string

	// MasterKey encrypts stored keys and derives mailed tokens: 32 bytes, see LoadOrCreateMasterKey. Required.
	MasterKey []byte

	// Mailer sends the mails of the outbox. Required.
	Mailer Mailer

	// Issuer is the `iss` claim of access tokens, for services that expect the name of an earlier system. It requires
	// HS256. The metadata, the feed, links and the default audience still use PublicURL. Default: PublicURL.
	Issuer string

	// Audience is the `aud` claim of access tokens. Default: PublicURL.
	Audience string

	// AccessTTL is the life of an access token. Default: 15 minutes.
	AccessTTL time.Duration

	// SigningAlg is ES256, Ed25519, RS256 or HS256. Default: ES256.
	SigningAlg string

	// SigningSecret is the shared secret of HS256, at least 32 bytes. Default: none.
	SigningSecret Secret

	// Claims selects additional claims of access tokens. Default: none.
	Claims Claims

	// Rotation limits which superseded refresh tokens are accepted. Default: Grace 10 s, Clean 1.
	Rotation RotationPolicy

	// ReuseEndsAll ends all sessions of the user when a token is reused, not only its session. Default: false.
	ReuseEndsAll bool

	// Sessions limits the life of sessions. Default: Idle 7 days, ShortIdle 24 h
	// or Idle if that is shorter, Max 30 days.
	Sessions SessionPolicy

	// MaxSessions limits a user's sessions. A sign-in beyond the limit ends the oldest session. Default: 100.
	MaxSessions int

	// Signup selects who may create an account. Default: SignupOpen.
	Signup SignupMode
	// NoVerifyMail sends no mail at sign-up. It applies to SignupOpen only. Default: false.
	NoVerifyMail bool

	// SecondFactor selects the accounts that must have a second factor. With SignupOpen, NoVerifyMail must be false,
	// because an account can add a factor only after its address is proven. Default: none.
	SecondFactor FactorPolicy
	// StepUpAge is how long after an authentication a session may change factors. If the account has a factor, the
	// same limit applies to changing its address or password, and to deleting it. Default: 5 min.
	StepUpAge time.Duration
	// RememberDevice is how long a browser may skip the second factor after the user has proven it there. Default: 0
	// s.
	RememberDevice time.Duration

	// PasswordMin is the minimum length of a password, in code points. Default: 8.
	PasswordMin int

	// PasswordWords are words that attackers try for this service, such as its name. Passwords that consist only of
	// them and the host of PublicURL are refused. Default: none.
	PasswordWords []string

	// HashAlg is argon2id or bcrypt. Default: argon2id.
	HashAlg string

	// HashCost has the parameters of HashAlg. Default: "m=19456,t=2,p=1" for argon2id, "10" for bcrypt.
	HashCost string

	// HashWorkers is how many passwords are hashed concurrently. Default: 1.
	HashWorkers int

	// HashQueue is how long a request waits for a hash worker before it is refused with CodeTryLater. Default: 2 s.
	HashQueue time.Duration

	// VerifyTTL is the life of verification links. Default: 24 h.
	VerifyTTL time.Duration

	// ResetTTL is the life of password reset links. Default: 15 min.
	ResetTTL time.Duration

	// Limits are the rate limits. Each has its own default.
	Limits Limits

	// KeyPeriod is how long a key signs before its successor replaces it. Default: 90 days.
	KeyPeriod time.Duration

	// OnSignup is called, perhaps more than once, after a sign-up, an operator or an import has created an account.
	// With SignupVerified, the account is created at the first proof of its address. See Callbacks in
	// the package documentation. Default: none.
	OnSignup func(context.Context, User) error

	// OnSessionEnded is called after a session has ended for any reason (EndedWhy), even in another program. For an
	// expired or idle session, that is after ExpiresAt. See Callbacks in the package documentation. Default: none.
	OnSessionEnded func(context.Context, Session) error

	// Log receives security events and errors. Default: discards them.
	Log *slog.Logger

	// Now is the clock of this process. It is used unless the store has its own
	// clock that all processes share (Clocked). Default: time.Now.
	Now func() time.Time
}

// SignupMode says who may create an account.
type SignupMode string

const (
	SignupOpen     SignupMode = "open"     // everyone; the user is signed in at once and verifies the address later
	SignupVerified SignupMode = "verified" // everyone; the user verifies the address before the account is created
	SignupClosed   SignupMode = "closed"   // only an operator
)

// A Client describes the sender of a request.
type Client struct {
	Address   netip.Addr // client IP, after trusted proxies; invalid: unknown
	UserAgent string
	Device    string // display name, such as "Firefox on Linux"; at most 64 characters; empty: unknown
	RequestID string
	ReturnTo  string // URL to which the page of a mailed link leads back; the caller has checked its site

	// Languages is the Accept-Language header (RFC 9110, section 12.5.4). A sign-up
	// stores its first language as User.Locale. It may be empty or invalid.
	Languages string

	// DeviceToken is the SignIn.DeviceToken of an earlier sign-in, if any. It makes the device a known one.
	DeviceToken Secret

	// Remembered is the SignIn.Remembered of an earlier sign-in. With it, a sign-in skips the second factor.
	Remembered Secret
}

// An Engine runs the flows. It is safe for concurrent use.
type Engine struct {
	store   Store // a wrapper that reports failures to health
	health  *storeHealth
	clocked Clocked // nil: the store has no clock
	opts    Options
	hashing hashing
	keys    *keyring
	log     *slog.Logger
	count   counters
	clock   *steadyclock.Clock

	feed *feedlog.Log[FeedItem, FeedEvent]

	mailPosted      wake.Signal                  // wakes the outbox: there may be mail
	mayHaveEnded    wake.Signal                  // wakes the feed: a session may have ended
	callbackSignals map[CallbackKind]wake.Signal // wakes the worker of each callback that is set

	noRestoreUntil atomic.Int64 // Unix seconds; see recordRestore
}

type hashing struct {
	pool   *passhash.Pool
	params passhash.Params
	dummy  string // a hash that no password matches, for unknown users
	level  *passhash.Level
}

// New creates an Engine on a migrated store, and creates missing keys. Call Run for background work, and
// Close at the end.
func New(ctx context.Context, store Store, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	if opts.PublicURL == "" || opts.Mailer == nil {
		return nil, errors.New("watchword: Options.PublicURL and Options.Mailer are required")
	}
	if opts.SecondFactor.Required && opts.NoVerifyMail && opts.Signup == SignupOpen {
		return nil, errors.New("watchword: Options.SecondFactor needs proven addresses: it does not go with NoVerifyMail")
	}
	for _, link := range opts.LinkOrigins {
		if err := weborigin.Check(link); err != nil {
			return nil, fmt.Errorf("watchword: Options.LinkOrigins: %w", err)
		}
	}
	if err := opts.CheckTokens(); err != nil {
		return nil, fmt.Errorf("watchword: Options: %w", err)
	}
	box, err := seal.New(opts.MasterKey)
	if err != nil {
		return nil, fmt.Errorf("watchword: Options.MasterKey: %w", err)
	}
	params, err := passhash.ParseParams(opts.HashAlg, opts.HashCost)
	if err != nil {
		return nil, fmt.Errorf("watchword: Options.HashCost: %w", err)
	}
	health := &storeHealth{store: store}
	clocked, _ := store.(Clocked)
	store = watchedStore{store, health}
	keys, err := newKeyring(store, box, opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store: store, health: health, clocked: clocked, opts: opts, keys: keys, log: opts.Log,
		hashing: hashing{pool: passhash.NewPool(opts.HashWorkers, opts.HashQueue), params: params,
			dummy: passhash.Dummy(params), level: &passhash.Level{}},
		clock: steadyclock.New(opts.Now), feed: feedlog.New[FeedItem, FeedEvent](feedWindow),
		mailPosted: wake.New(), mayHaveEnded: wake.New(), callbackSignals: opts.callbackSignals(),
	}
	if err = e.prepareKeys(ctx); err != nil {
		e.hashing.pool.Close()
		return nil, fmt.Errorf("prepare keys: %w", err)
	}
	return e, nil
}

// Run does the background work until ctx ends: it sends mail, deletes expired rows, follows the revocation feed,
// rotates and reloads keys, and makes the callbacks. It returns after all workers have stopped.
func (e *Engine) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, worker := range []func(context.Context){e.runOutbox, e.runSweep, e.runKeys, e.runFeed, e.runHashMeasurement} {
		workers.Go(func() { worker(ctx) })
	}
	for kind, due := range e.callbackSignals {
		workers.Go(func() { e.runCallbacks(ctx, kind, due) })
	}
	workers.Wait()
}

// Close stops the hash workers. It does not close the store.
func (e *Engine) Close() { e.hashing.pool.Close() }

// Ready returns nil if the store accepts writes and keys can sign. It queries the store at most twice a second.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.keys.checkUsable(e.now()); err != nil {
		return err
	}
	return e.health.checkWritable(ctx)
}

// Stats contains numbers for monitoring. Counters belong to this process and begin at its start.
//
// Unstable: only the server's metrics and the program watchword use it.
type Stats struct {
	Verdicts map[Verdict]uint64
	Events   map[EventKind]uint64
	Hashing  HashingStats

	MailSent, MailFailed     uint64    // attempts of this process
	MailWaiting, MailGivenUp int       // mails in the outbox, for all processes
	MailOldest               time.Time // when the oldest waiting mail was queued; zero: no mail waits

	Keys []KeyInfo

	Store error // why the store rejects writes; nil: it accepts them

	// Feed is the state of the revocation feed as this process last read it.
	Feed FeedState
}

// HashingStats describe the pool that hashes passwords.
//
// Unstable: a part of Stats.
type HashingStats struct {
	Workers, Queued, Running int
	Done                     uint64
	Shed                     uint64        // requests refused with CodeTryLater because the queue was too long
	Waited                   time.Duration // total queue time of the requests that ran
}

// Stats reads the outbox and checks that the store accepts writes. An error means that the outbox could not be read.
// All other fields are valid even after an error.
//
// Unstable: only the server's metrics and the program watchword use it.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Hashing: HashingStats(e.hashing.pool.Stats()), Keys: e.keys.keyInfos(e.now())}
	s.Feed = FeedState(e.feed.Progress())
	s.Store = e.health.checkWritable(ctx)
	mails := e.count.mails.All()
	s.Verdicts, s.Events = e.count.verdicts.All(), e.count.events.All()
	s.MailSent, s.MailFailed = mails[true], mails[false]
	err := e.store.View(ctx, func(tx Tx) (err error) {
		s.MailWaiting, s.MailGivenUp, s.MailOldest, err = tx.Outbox(ctx)
		return err
	})
	return s, err
}

// PublicURL returns the URL at which clients reach the server.
func (e *Engine) PublicURL() string { return e.opts.PublicURL }

// now returns the current time in milliseconds, the precision of a store. A flow calls it once and passes the result
// on.
func (e *Engine) now() time.Time { return e.clock.Now().UTC().Truncate(time.Millisecond) }

// readClock samples the clock of the store, if it has one. The engine calls it every few seconds, so flows need no
// query for the time.
func (e *Engine) readClock(ctx context.Context) error {
	if e.clocked == nil {
		return nil
	}
	err := e.clock.Sample(func() (time.Time, error) { return e.clocked.Clock(ctx) })
	if err != nil {
		return fmt.Errorf("read the clock of the store: %w", err)
	}
	return nil
}

// ClockAhead returns how far Options.Now is ahead of the store's clock: 0 unless the store is Clocked.
//
// Unstable: for the program watchword.
func (e *Engine) ClockAhead() time.Duration { return e.clock.Ahead() }

// newID creates a UUID of version 7. It panics if the system's random source fails, because there is no safe fallback.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// networkKey returns a key for the client's network. Rate limits and the fair queue of the hash pool use it.
func (c Client) networkKey() string { return clientip.Key(c.Address) }

func (c Client) deviceName() string  { return storable.Text(c.Device, maxDevice) }
func (c Client) addressText() string { return clientip.Text(c.Address) }

func (o Options) withDefaults() Options {
	o.Issuer = cmp.Or(o.Issuer, o.PublicURL)
	o.Audience = cmp.Or(o.Audience, o.PublicURL)
	o.AccessTTL = cmp.Or(o.AccessTTL, 15*time.Minute)
	o.SigningAlg = cmp.Or(o.SigningAlg, "ES256")
	o.Rotation = cmp.Or(o.Rotation, RotationPolicy{Grace: 10 * time.Second})
	o.Rotation.Clean = max(o.Rotation.Clean, 1)
	o.Sessions.Idle = cmp.Or(o.Sessions.Idle, 7*24*time.Hour)
	o.Sessions.Max = cmp.Or(o.Sessions.Max, 30*24*time.Hour)
	o.Sessions.ShortIdle = cmp.Or(o.Sessions.ShortIdle, min(o.Sessions.Idle, 24*time.Hour))
	o.MaxSessions = cmp.Or(o.MaxSessions, 100)
	o.Signup = cmp.Or(o.Signup, SignupOpen)
	o.PasswordMin = cmp.Or(o.PasswordMin, 8)
	o.HashAlg = cmp.Or(o.HashAlg, "argon2id")
	o.HashWorkers = cmp.Or(o.HashWorkers, 1)
	o.HashQueue = cmp.Or(o.HashQueue, 2*time.Second)
	o.StepUpAge = cmp.Or(o.StepUpAge, 5*time.Minute)
	o.VerifyTTL = cmp.Or(o.VerifyTTL, 24*time.Hour)
	o.ResetTTL = cmp.Or(o.ResetTTL, 15*time.Minute)
	o.KeyPeriod = cmp.Or(o.KeyPeriod, 90*24*time.Hour)
	o.Limits = o.Limits.withDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

type counters struct {
	verdicts tally.Counts[Verdict]
	events   tally.Counts[EventKind]
	mails    tally.Counts[bool] // by success
}
