package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
)

// What Verify says no with. Ask with errors.Is; the text of the token is in none
// of them.
var (
	// ErrExpired: the token was good, and is too old, or was issued before the
	// user's roles changed. The client should refresh.
	ErrExpired = errors.New("access token has expired")

	// ErrInvalid: not an access token of this issuer, for this audience, now.
	ErrInvalid = errors.New("not a valid access token")

	// ErrRevoked: the session of the token has ended. The user has to sign in.
	ErrRevoked = errors.New("the session of the access token has ended")

	// ErrUnavailable: nothing can be said about the token, because the keys (or,
	// with StaleClosed, the revocations) of the issuer could not be had.
	ErrUnavailable = errors.New("access tokens can't be verified at this moment")
)

// OnStale says what happens while the revocation feed can't be heard.
type OnStale string

const (
	StaleOpen   OnStale = "open"   // tokens are accepted; their short life bounds the harm
	StaleClosed OnStale = "closed" // tokens are refused with ErrUnavailable
)

const (
	// The longest life of an access token under any setting of the server: a
	// revocation is remembered for as long. A token that lives longer could
	// outlive the memory of its end, and is refused.
	maxTokenLife = time.Hour

	readyPoll = 10 * time.Millisecond

	maxLeeway = time.Minute // RFC 7519, section 4.1.4: "usually no more than a few minutes"
)

// Options configure a Verifier. The zero value is safe and complete.
type Options struct {
	// Audience is the `aud` that tokens must name. Default: the issuer.
	Audience string

	// SigningSecret is the secret that the issuer signs with if it uses HS256.
	// Then no other algorithm is accepted. Default: none; keys come from the
	// issuer's JWKS.
	SigningSecret []byte

	// Leeway is how far the issuer's clock may be ahead of ours, at most a minute.
	// It lengthens no token's life. Default: 5 s.
	Leeway time.Duration

	// OnStale says what happens while the revocation feed can't be heard, and
	// StaleAfter after how long that begins. Default: StaleOpen, 10 s.
	OnStale    OnStale
	StaleAfter time.Duration

	// Realm is the protection space of WWW-Authenticate. Default: the host of the
	// issuer.
	Realm string

	// StripHeaders are request headers that could pass for an identity: the
	// middleware removes them. Names match in any case and with _ for -; one that
	// ends in * matches what begins so. Default: DefaultStripHeaders. To strip
	// none give an empty list that is not nil.
	StripHeaders []string

	// CacheSize is how many verified tokens are remembered: about a kilobyte and a
	// half each. Negative: none. Default: 8192.
	CacheSize int

	// FetchFrom is another address of the issuer's server, such as
	// "http://watchword:8080": scheme and host. Metadata, and the JWKS and the feed at
	// the paths that the metadata names, are fetched from there. The metadata must still
	// name the issuer. With http, anybody on that network can forge keys, and with them
	// tokens: the network must be trusted. Default: the issuer.
	FetchFrom string

	// HTTPClient talks to the issuer. Redirects are never followed. Default: a
	// client of its own.
	HTTPClient *http.Client

	// Log hears when keys or revocations can't be had. Default: discards.
	Log *slog.Logger

	// Now is the clock that tokens are held against. Default: time.Now.
	Now func() time.Time
}

// A Verifier verifies the access tokens of one issuer. It is safe for concurrent
// use. Make one for the life of the program, with New.
type Verifier struct {
	opts    Options
	want    accesstoken.Expect
	issuer  *issuer
	keys    *keys
	revoked *revocations
	feed    *follower
	cache   *cache // nil: none
	strip   headerSet

	once    sync.Once
	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

// New makes a Verifier for the tokens of issuer, such as "https://id.example.com":
// exactly the `iss` of its tokens. It fails only for options that can't work, and
// talks to nobody: what has to be known is fetched when the first token comes, or
// by Ready, and kept up to date in the background from then on, until Close.
func New(issuer string, opts Options) (*Verifier, error) {
	host, err := checkIssuer(issuer)
	if err != nil {
		return nil, fmt.Errorf("verify: issuer: %w", err)
	}
	opts = opts.withDefaults(issuer, host)
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v := &Verifier{
		opts:    opts,
		want:    accesstoken.Expect{Issuer: issuer, Audience: opts.Audience, Leeway: opts.Leeway},
		issuer:  newIssuer(issuer, opts.FetchFrom, opts.HTTPClient),
		revoked: newRevocations(maxRevocations),
		cache:   newCache(opts.CacheSize),
		strip:   newHeaderSet(opts.StripHeaders),
	}
	if v.keys, err = newKeys(v.issuer, opts); err != nil {
		return nil, fmt.Errorf("verify: Options.SigningSecret: %w", err)
	}
	v.feed = &follower{issuer: v.issuer, keys: v.keys, revoked: v.revoked, opts: opts}
	v.life, v.end = context.WithCancel(context.Background())
	return v, nil
}

func (o Options) withDefaults(issuer, host string) Options {
	o.Audience = cmp.Or(o.Audience, issuer)
	o.Leeway = cmp.Or(o.Leeway, 5*time.Second)
	o.OnStale = cmp.Or(o.OnStale, StaleOpen)
	o.StaleAfter = cmp.Or(o.StaleAfter, 10*time.Second)
	o.Realm = cmp.Or(o.Realm, host)
	o.CacheSize = cmp.Or(o.CacheSize, 8192)
	if o.StripHeaders == nil {
		o.StripHeaders = DefaultStripHeaders()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return fmt.Errorf("Options.Leeway is %s: write one from 0 to %s", o.Leeway, maxLeeway)
	case o.OnStale != StaleOpen && o.OnStale != StaleClosed:
		return fmt.Errorf("Options.OnStale is %q: write StaleOpen or StaleClosed", o.OnStale)
	case o.StaleAfter < 0:
		return fmt.Errorf("Options.StaleAfter is %s: write a time", o.StaleAfter)
	case o.FetchFrom != "" && !isOrigin(o.FetchFrom):
		return fmt.Errorf("Options.FetchFrom is %q: write scheme and host, such as http://watchword:8080", withoutUser(o.FetchFrom))
	case o.CacheSize > 1<<20:
		return fmt.Errorf("Options.CacheSize is %d: write at most %d", o.CacheSize, 1<<20)
	case strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
		return fmt.Errorf("Options.Realm is %q: write plain characters, without quotes", o.Realm)
	}
	return nil
}

// Ready returns nil once tokens can be verified. It waits for the keys, and with
// StaleClosed for the revocations, as long as ctx allows, and reports
// ErrUnavailable with the cause otherwise. It is there for readiness probes and
// for programs that would rather not start; nobody has to call it.
func (v *Verifier) Ready(ctx context.Context) error {
	if err := v.begin(); err != nil {
		return err
	}
	if _, err := v.keys.current(ctx); err != nil {
		return err
	}
	for v.stale() {
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
			return fmt.Errorf("%w: wait for the revocation feed: %w", ErrUnavailable, ctx.Err())
		case <-v.life.Done():
			return fmt.Errorf("%w: the verifier is closed", ErrUnavailable)
		}
	}
	return nil
}

// stale reports whether nothing may be said about any token, for we do not know
// what has been called back.
func (v *Verifier) stale() bool {
	return v.opts.OnStale == StaleClosed && v.revoked.silence(time.Now()) > v.opts.StaleAfter
}

// Close ends what runs in the background, and waits for it. From then on nothing
// is verified any more: every answer is ErrUnavailable.
func (v *Verifier) Close() {
	v.end()
	v.once.Do(func() {}) // what has not begun never will
	v.running.Wait()
	v.issuer.close()
}

// begin starts the work in the background, once.
func (v *Verifier) begin() error {
	if v.life.Err() != nil {
		return fmt.Errorf("%w: the verifier is closed", ErrUnavailable)
	}
	v.once.Do(func() {
		v.running.Go(func() { v.keys.run(v.life) })
		v.running.Go(func() { v.feed.run(v.life) })
	})
	return nil
}

// Verify returns who a token stands for. The identity is nil with every error:
// ErrExpired, ErrInvalid, ErrRevoked or ErrUnavailable.
//
// There is no network in it but for the very first token, and for a token of a
// key that is not known yet, for which the JWKS is read again, at most once in
// ten seconds for all tokens together; ctx bounds the waiting.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if err := v.begin(); err != nil {
		return nil, err
	}
	set, err := v.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	now := v.opts.Now()
	who := v.cache.get(token, set)
	if who == nil || !who.livesAt(now, v.opts.Leeway) {
		if who, set, err = v.check(ctx, token, set, now); err != nil {
			return nil, err
		}
		v.cache.put(token, set, who, now)
	}
	if err := v.refusedBy(who); err != nil {
		return nil, err
	}
	return who, nil
}

// check verifies a token that is not remembered: shape, key, signature, claims.
// It returns the keys that it was verified with.
func (v *Verifier) check(ctx context.Context, token string, set *keySet, now time.Time) (*Identity, *keySet, error) {
	want := v.want
	want.Now = now
	unknown := false
	find := func(kid string) (accesstoken.Key, bool) {
		key, ok := set.keys[kid]
		unknown = !ok
		return key, ok
	}
	claims, err := accesstoken.Verify(token, find, want)
	if unknown {
		if set, err = v.keys.again(ctx); err != nil {
			return nil, nil, err
		}
		claims, err = accesstoken.Verify(token, find, want)
	}
	switch {
	case errors.Is(err, accesstoken.ErrExpired):
		return nil, nil, ErrExpired
	case err != nil, claims.Expires-claims.IssuedAt > int64(maxTokenLife/time.Second):
		return nil, nil, ErrInvalid
	}
	return &Identity{claims}, set, nil
}

// refusedBy asks the revocations about a token that is good in every other
// respect: each time, for a session may end at any moment.
func (v *Verifier) refusedBy(who *Identity) error {
	if v.stale() {
		return fmt.Errorf("%w: the revocation feed has not been heard for %s", ErrUnavailable, v.opts.StaleAfter)
	}
	return v.revoked.refuse(who.claims.SessionID, who.claims.Subject, who.claims.IssuedAt)
}
