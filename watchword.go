package watchword

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/steadyclock"
	"github.com/watchword-auth/watchword/internal/weborigin"
)

// Options configure an Engine. Of the zero value only PublicURL, MasterKey and
// Mailer are missing.
type Options struct {
	// PublicURL is the address under which clients reach the server, without a
	// trailing slash: the issuer of tokens. Required.
	PublicURL string

	// LinkOrigins are the front-ends to whose pages the link of a reset may lead
	// instead of ours: exact, such as "https://app.example.com". Whoever asks for a
	// mail chooses among them, so each of them is trusted with every account.
	// Default: none.
	LinkOrigins []string

	// MasterKey seals keys at rest and makes mailed tokens: 32 bytes, such as
	// LoadOrCreateMasterKey returns. Required.
	MasterKey []byte

	// Mailer delivers the outbox. Required.
	Mailer Mailer

	// Audience is the `aud` of access tokens. Default: PublicURL.
	Audience string

	// AccessTTL is the life of an access token. Default: 15 minutes.
	AccessTTL time.Duration

	// SigningAlg is ES256, Ed25519, RS256 or HS256. Default: ES256.
	SigningAlg string

	// SigningSecret is the shared secret of HS256, at least 32 bytes. Default: none.
	SigningSecret Secret

	// Claims says what else goes into access tokens. Default: nothing.
	Claims Claims

	// Rotation bounds what a refresh forgives. Default: grace 10 s, clean 1.
	Rotation RotationPolicy

	// ReuseEnds says what a detected reuse ends. Default: ReuseEndsSession.
	ReuseEnds ReuseEnds

	// Sessions bounds their life. Default: idle 7 days (a day if not
	// persistent), absolute 30 days.
	Sessions SessionPolicy

	// MaxSessions is how many a user may have; one more ends the oldest.
	// Default: 100.
	MaxSessions int

	// Signup says who may make an account. Default: SignupOpen.
	Signup SignupMode

	// PasswordMin is the least number of code points. Default: 8.
	PasswordMin int

	// HashAlg is argon2id or bcrypt; HashCost its parameters ("m=19456,t=2,p=1",
	// or bcrypt's cost). Default: argon2id with those.
	HashAlg, HashCost string

	// HashWorkers is how many passwords are hashed at once. Default: 1.
	HashWorkers int

	// HashQueue is the longest a password waits to be hashed before the request
	// is refused with CodeTryLater. Default: 2 s.
	HashQueue time.Duration

	// VerifyTTL and ResetTTL are the lives of mailed tokens. Default: 24 h, 15 min.
	VerifyTTL, ResetTTL time.Duration

	// Limits on use. Default: see Limits.
	Limits Limits

	// KeyPeriod is how long a key signs before its successor does. Default: 90 days.
	KeyPeriod time.Duration

	// Log receives security events and what went wrong. Default: discards.
	Log *slog.Logger

	// Now is the clock of this process. It rules unless the store has a clock
	// of its own that all processes share (Clocked). Default: time.Now.
	Now func() time.Time
}

// SignupMode says who may make an account.
type SignupMode string

const (
	SignupOpen     SignupMode = "open"     // anybody, signed in at once; the address is verified later
	SignupVerified SignupMode = "verified" // anybody who proves the address first
	SignupClosed   SignupMode = "closed"   // only an operator
)

// ReuseEnds says what a detected reuse of a refresh token ends.
type ReuseEnds string

const (
	ReuseEndsSession ReuseEnds = "session" // the one concerned
	ReuseEndsAll     ReuseEnds = "all"     // every session of the user
)

// A Client is where a request comes from.
type Client struct {
	Address   netip.Addr // after trusted proxies; invalid: unknown
	UserAgent string
	Device    string // a name for people, such as "Firefox on Linux"; at most 64 characters; empty: unknown
	RequestID string

	// DeviceToken is the SignIn.DeviceToken that the client kept of an earlier
	// sign-in. Empty, or not of the account: the device is not known.
	DeviceToken Secret
}

// An Engine carries out the flows. It is safe for concurrent use.
type Engine struct {
	store   Store // its failures reach health
	health  *health
	clocked Clocked // nil: the store has no clock
	opts    Options
	hashing hashing
	keys    *keyring
	log     *slog.Logger
	count   counters
	clock   *steadyclock.Clock

	mailPosted chan struct{} // wakes the outbox
	feed       feed
}

// hashing is how passwords become hashes.
type hashing struct {
	pool   *passhash.Pool
	params passhash.Params
	dummy  string // a hash that no password has, for users who do not exist
	level  *passhash.Level
}

// New makes an Engine on a migrated store and sees to it that there are keys.
// Call Run for what happens in the background, and Close at the end.
func New(ctx context.Context, store Store, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	if opts.PublicURL == "" || opts.Mailer == nil {
		return nil, errors.New("watchword: Options.PublicURL and Options.Mailer are required")
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
	health := &health{store: store}
	clocked, _ := store.(Clocked)
	store = watchedStore{store, health}
	keys, err := newKeyring(store, box, opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store:   store,
		health:  health,
		clocked: clocked,
		opts:    opts,
		keys:    keys,
		log:     opts.Log,
		hashing: hashing{
			pool:   passhash.NewPool(opts.HashWorkers, opts.HashQueue),
			params: params,
			dummy:  passhash.Dummy(params),
			level:  &passhash.Level{},
		},
		count:      newCounters(),
		clock:      steadyclock.New(opts.Now),
		mailPosted: make(chan struct{}, 1),
		feed:       newFeed(),
	}
	if err = e.prepareKeys(ctx); err != nil {
		e.hashing.pool.Close()
		return nil, fmt.Errorf("prepare keys: %w", err)
	}
	return e, nil
}

// Run does what happens in the background until ctx ends: it sends the outbox,
// sweeps, follows the revocation feed, and rotates and reloads keys. It returns
// when all of it has stopped.
func (e *Engine) Run(ctx context.Context) {
	done := make(chan struct{}, 5)
	for _, work := range []func(context.Context){e.runOutbox, e.runSweep, e.runKeys, e.runFeed, e.runLevel} {
		go func() {
			defer func() { done <- struct{}{} }()
			work(ctx)
		}()
	}
	for range cap(done) {
		<-done
	}
}

// Close stops the hashing of passwords. The store is the caller's.
func (e *Engine) Close() { e.hashing.pool.Close() }

// Ready returns nil if the store accepts writes and the engine has keys to sign with.
// It asks the store at most twice a second, however often it is called.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.keys.usable(e.now()); err != nil {
		return err
	}
	return e.health.writable(ctx)
}

// Stats are what an operator watches. Counts are of this process, since its start.
type Stats struct {
	Verdicts map[Verdict]uint64
	Events   map[EventKind]uint64
	Hashing  HashingStats

	MailSent, MailFailed     uint64    // attempts
	MailWaiting, MailGivenUp int       // in the outbox, of all processes
	MailOldest               time.Time // waiting since; zero: none waits

	Keys []KeyInfo

	Store error // why the store accepts no writes; nil: it does

	// The revocation feed, as this process knows it.
	Feed FeedState
}

// HashingStats describe the pool that hashes passwords.
type HashingStats struct {
	Workers, Queued, Running int
	Done                     uint64
	Shed                     uint64        // requests refused with CodeTryLater because the queue was too long
	Waited                   time.Duration // total time in the queue of the requests that ran
}

// Stats asks the store for the outbox, and whether it accepts writes. An error means
// that the outbox could not be read; the other figures are there all the same.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Hashing: HashingStats(e.hashing.pool.Stats()), Keys: e.keys.infos(e.now()), Feed: e.feed.known()}
	s.Store = e.health.writable(ctx)
	e.count.read(&s)
	err := e.store.View(ctx, func(tx Tx) (err error) {
		s.MailWaiting, s.MailGivenUp, s.MailOldest, err = tx.Outbox(ctx)
		return err
	})
	return s, err
}

// PublicURL is the address under which clients reach the server.
func (e *Engine) PublicURL() string { return e.opts.PublicURL }

// now is the moment of a flow: read once, handed on, in the precision of a store.
func (e *Engine) now() time.Time { return e.clock.Now().UTC().Truncate(time.Millisecond) }

// readClock asks the store for the time, if it knows it. Run does so every few
// seconds, so that no flow has to.
func (e *Engine) readClock(ctx context.Context) error {
	if e.clocked == nil {
		return nil
	}
	err := e.clock.Sample(func() (time.Time, error) { return e.clocked.Clock(ctx) })
	if err != nil {
		return fmt.Errorf("read clock of the store: %w", err)
	}
	return nil
}

// ClockAhead is how far Options.Now is ahead of the clock that rules: 0 unless the
// store is Clocked.
func (e *Engine) ClockAhead() time.Duration { return e.clock.Ahead() }

// newID makes a UUID of version 7. It panics if the system has no randomness:
// there is nothing safe to do instead.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// isID reports whether a text could be an id of ours. Databases take offence at
// some that can't.
func isID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

// key names a client for limits and for the fairness of the hash pool.
func (c Client) key() string { return clientip.Key(c.Address) }

func (c Client) device() string { return storable(c.Device, maxDevice) }

func (c Client) address() string {
	if !c.Address.IsValid() {
		return ""
	}
	return c.Address.WithZone("").String() // a zone may be any text
}

func (o Options) withDefaults() Options {
	o.Audience = cmp.Or(o.Audience, o.PublicURL)
	o.AccessTTL = cmp.Or(o.AccessTTL, 15*time.Minute)
	o.SigningAlg = cmp.Or(o.SigningAlg, "ES256")
	o.Rotation = cmp.Or(o.Rotation, RotationPolicy{Grace: 10 * time.Second})
	o.Rotation.Clean = max(o.Rotation.Clean, 1)
	o.ReuseEnds = cmp.Or(o.ReuseEnds, ReuseEndsSession)
	o.Sessions.Idle = cmp.Or(o.Sessions.Idle, 7*24*time.Hour)
	o.Sessions.Max = cmp.Or(o.Sessions.Max, 30*24*time.Hour)
	o.Sessions.ShortIdle = cmp.Or(o.Sessions.ShortIdle, min(o.Sessions.Idle, 24*time.Hour))
	o.MaxSessions = cmp.Or(o.MaxSessions, 100)
	o.Signup = cmp.Or(o.Signup, SignupOpen)
	o.PasswordMin = cmp.Or(o.PasswordMin, 8)
	o.HashAlg = cmp.Or(o.HashAlg, "argon2id")
	o.HashWorkers = cmp.Or(o.HashWorkers, 1)
	o.HashQueue = cmp.Or(o.HashQueue, 2*time.Second)
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

// counters count since the start of the process.
type counters struct {
	mu                   sync.Mutex
	verdicts             map[Verdict]uint64
	events               map[EventKind]uint64
	mailSent, mailFailed uint64
}

func newCounters() counters {
	return counters{verdicts: map[Verdict]uint64{}, events: map[EventKind]uint64{}}
}

func (c *counters) verdict(v Verdict) {
	c.mu.Lock()
	c.verdicts[v]++
	c.mu.Unlock()
}

func (c *counters) event(k EventKind) {
	c.mu.Lock()
	c.events[k]++
	c.mu.Unlock()
}

func (c *counters) mail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.mailFailed++
		return
	}
	c.mailSent++
}

func (c *counters) read(s *Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Verdicts, s.Events = maps.Clone(c.verdicts), maps.Clone(c.events)
	s.MailSent, s.MailFailed = c.mailSent, c.mailFailed
}
