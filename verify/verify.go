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
	"github.com/watchword-auth/watchword/internal/tokencache"
)

// These are the errors of Verify. Compare with errors.Is. They do not contain the token.
var (
	// ErrExpired means that the token has expired, or was issued before the user's roles changed. The client should
	// refresh.
	ErrExpired = errors.New("access token has expired")

	// ErrInvalid means that the text is not an access token that this issuer signed for this audience, or that the
	// token is not valid yet.
	ErrInvalid = errors.New("not a valid access token")

	// ErrRevoked means that the session of the token has ended. The user must sign in again.
	ErrRevoked = errors.New("the session of the access token has ended")

	// ErrUnavailable means that the token could not be checked, because the issuer's keys could not be read. With
	// FailClosed, it also means that recent revocations could not be read.
	ErrUnavailable = errors.New("access tokens can't be verified right now")
)

const (
	// maxTokenLife is the longest lifetime of an access token that the server's settings allow. The verifier rejects
	// tokens with a longer lifetime. Otherwise, such a token could be accepted after its revocation was deleted,
	// because revocations are kept for little more than maxTokenLife.
	maxTokenLife = time.Hour

	readyPoll = 10 * time.Millisecond

	maxLeeway = time.Minute // RFC 7519, section 4.1.4: "usually no more than a few minutes"
)

// Options configure a Verifier. The zero value has safe defaults.
type Options struct {
	// Audience is the `aud` that tokens must contain. Default: the issuer.
	Audience string

	// SigningSecret is the secret with which the issuer signs, if it uses HS256. No other algorithm is then accepted.
	// Default: none, because the keys come from the issuer's JWKS.
	SigningSecret []byte

	// Leeway is how far the issuer's clock may be ahead of this machine's, at most a
	// minute. It does not extend a token's lifetime. Default: 5 s.
	Leeway time.Duration

	// FailClosed rejects tokens with ErrUnavailable while the revocation feed can't be read. The default is to accept
	// them, because their short lifetime limits the risk. StaleAfter is how long the feed may be silent before tokens
	// are rejected. Default: 10 s.
	FailClosed bool
	StaleAfter time.Duration

	// Realm is the realm in WWW-Authenticate. Default: the host of the issuer.
	Realm string

	// StripHeaders are request headers that a handler could mistake for the caller's identity. The middleware removes
	// them. Names match in any letter case, and _ matches -. A name that ends in * is a prefix. Default:
	// DefaultStripHeaders. An empty list that is not nil removes no header.
	StripHeaders []string

	// CacheSize is how many verified tokens are cached, at about 1.5 kB each. A negative value disables the cache.
	// Default: 8192.
	CacheSize int

	// FetchFrom is another address of the issuer's server, only scheme and host, such as "http://watchword:8080". The
	// verifier fetches the metadata from this address, and the JWKS and the feed from the paths in the metadata. The
	// metadata must still name the issuer, except with SigningSecret and Audience (see New). Use http only on a
	// trusted network, because attackers on the network could forge keys and tokens. Default: the issuer.
	FetchFrom string

	// HTTPClient sends the requests to the issuer. It never follows redirects.
	// Default: a client that only this Verifier uses.
	HTTPClient *http.Client

	// Log receives a warning when keys or revocations can't be read. Default: no log.
	Log *slog.Logger

	// Now is the clock with which the times in tokens are checked. Default: time.Now.
	Now func() time.Time
}

// A Verifier verifies the access tokens of one issuer. It is safe for concurrent
// use. Create one with New, and keep it until the program ends.
type Verifier struct {
	opts     Options
	expected accesstoken.Expect
	issuer   *issuer
	keys     *issuerKeys
	revoked  *revocations
	feed     *follower
	cache    *tokencache.Cache[*keySet, *Identity] // nil without a cache
	strip    headerSet

	startOnce  sync.Once
	ctx        context.Context // Close cancels it
	cancel     context.CancelFunc
	background sync.WaitGroup
}

// New creates a Verifier for the tokens of issuer, such as "https://id.example.com". The issuer must equal the `iss`
// of its tokens. New returns an error only for invalid options, and sends no request. The first call of Verify or
// Ready fetches keys and revocations. From then on, background tasks keep them up to date until Close.
//
// A server with HS256 can write a different `iss` into its tokens (its setting issuer), such as "your-app". For such
// an issuer, SigningSecret, Audience and FetchFrom are required. The metadata at FetchFrom then contains the server's
// URL, which must be the `iss` of the feed's events.
func New(issuer string, opts Options) (*Verifier, error) {
	named := opts.SigningSecret != nil && opts.FetchFrom != "" && opts.Audience != ""
	host, err := parseIssuerHost(issuer)
	if err != nil && named && accesstoken.IsIssuerName(issuer) {
		host, err = issuer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("verify: issuer: %w", err)
	}
	opts = opts.withDefaults(issuer, host)
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v := &Verifier{
		opts:     opts,
		expected: accesstoken.Expect{Issuer: issuer, Audience: opts.Audience, Leeway: opts.Leeway},
		issuer:   newIssuer(issuer, named, opts.FetchFrom, opts.HTTPClient),
		revoked:  newRevocations(maxRevocations),
		cache:    tokencache.New[*keySet, *Identity](opts.CacheSize),
		strip:    newHeaderSet(opts.StripHeaders),
	}
	if v.keys, err = newKeys(v.issuer, opts); err != nil {
		return nil, fmt.Errorf("verify: Options.SigningSecret: %w", err)
	}
	v.feed = &follower{issuer: v.issuer, keys: v.keys, revoked: v.revoked, opts: opts}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v, nil
}

func (o Options) withDefaults(issuer, host string) Options {
	o.Audience = cmp.Or(o.Audience, issuer)
	o.Leeway = cmp.Or(o.Leeway, 5*time.Second)
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
		return fmt.Errorf("Options.Leeway is %s: write a duration from 0 to %s", o.Leeway, maxLeeway)
	case o.StaleAfter < 0:
		return fmt.Errorf("Options.StaleAfter is %s: write a duration of 0 or more", o.StaleAfter)
	case o.FetchFrom != "" && !hasOnlySchemeAndHost(o.FetchFrom):
		return fmt.Errorf(
			"Options.FetchFrom is %q: write scheme and host, such as http://watchword:8080",
			hideUserInfo(o.FetchFrom),
		)
	case o.CacheSize > 1<<20:
		return fmt.Errorf("Options.CacheSize is %d: write at most %d", o.CacheSize, 1<<20)
	case strings.ContainsFunc(o.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
		return fmt.Errorf("Options.Realm is %q: write printable ASCII without quotes and backslashes", o.Realm)
	}
	return nil
}

// Ready returns nil as soon as tokens can be verified. It waits for the keys and, with FailClosed, for the
// revocations. If ctx ends first, it returns ErrUnavailable with the cause. Calling Ready is optional. It is for
// readiness probes, and for programs that should not start without keys.
func (v *Verifier) Ready(ctx context.Context) error {
	if err := v.startBackgroundTasks(); err != nil {
		return err
	}
	if _, err := v.keys.currentKeys(ctx); err != nil {
		return err
	}
	for v.mustFailClosed() {
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
			return fmt.Errorf("%w: wait for the revocation feed: %w", ErrUnavailable, ctx.Err())
		case <-v.ctx.Done():
			return fmt.Errorf("%w: the verifier is closed", ErrUnavailable)
		}
	}
	return nil
}

func (v *Verifier) mustFailClosed() bool {
	return v.opts.FailClosed && v.revoked.timeSinceComplete(time.Now()) > v.opts.StaleAfter
}

// Close stops the background tasks and waits for them. On a closed Verifier, Verify always returns ErrUnavailable.
func (v *Verifier) Close() {
	v.cancel()
	v.startOnce.Do(func() {}) // so that startBackgroundTasks has no effect after Close
	v.background.Wait()
	v.issuer.close()
}

// startBackgroundTasks starts the tasks at its first call. Later calls have no effect.
func (v *Verifier) startBackgroundTasks() error {
	if v.ctx.Err() != nil {
		return fmt.Errorf("%w: the verifier is closed", ErrUnavailable)
	}
	v.startOnce.Do(func() {
		v.background.Go(func() { v.keys.run(v.ctx) })
		v.background.Go(func() { v.feed.run(v.ctx) })
	})
	return nil
}

// Verify returns the identity that a token proves. If it returns an error (ErrExpired, ErrInvalid, ErrRevoked or
// ErrUnavailable), the identity is nil.
//
// Only the first token, and a token whose key is unknown, wait for the network. For an unknown key, the verifier
// reads the JWKS again, at most once in ten seconds for all tokens together. ctx limits the wait.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if err := v.startBackgroundTasks(); err != nil {
		return nil, err
	}
	set, err := v.keys.currentKeys(ctx)
	if err != nil {
		return nil, err
	}
	now := v.opts.Now()
	identity, ok := v.cache.Get(token, set)
	if !ok || !identity.claims.IsInTime(now, v.opts.Leeway) {
		if identity, set, err = v.verifyUncached(ctx, token, set, now); err != nil {
			return nil, err
		}
		v.cache.Put(token, set, identity, identity.claims.Expires, now)
	}
	if err := v.checkRevocation(identity); err != nil {
		return nil, err
	}
	return identity, nil
}

// verifyUncached checks format, key, signature and claims. It also returns the keys that it used, because the cache
// stores them with the identity.
func (v *Verifier) verifyUncached(
	ctx context.Context, token string, set *keySet, now time.Time,
) (*Identity, *keySet, error) {
	expected := v.expected
	expected.Now = now
	unknown := false
	findKey := func(kid string) (accesstoken.Key, bool) {
		key, ok := set.byID[kid]
		unknown = !ok
		return key, ok
	}
	claims, err := accesstoken.Verify(token, findKey, expected)
	if unknown {
		if set, err = v.keys.rereadUnlessRecent(ctx); err != nil {
			return nil, nil, err
		}
		claims, err = accesstoken.Verify(token, findKey, expected)
	}
	switch {
	case errors.Is(err, accesstoken.ErrExpired):
		return nil, nil, ErrExpired
	case err != nil, claims.Expires-claims.IssuedAt > int64(maxTokenLife/time.Second):
		return nil, nil, ErrInvalid
	}
	return &Identity{claims}, set, nil
}

// checkRevocation rejects a valid token whose session has ended. It runs even for cached tokens, because a session
// can end at any time.
func (v *Verifier) checkRevocation(identity *Identity) error {
	if v.mustFailClosed() {
		return fmt.Errorf("%w: the revocation feed has been silent for more than %s", ErrUnavailable, v.opts.StaleAfter)
	}
	return v.revoked.checkToken(identity.claims.SessionID, identity.claims.Subject, identity.claims.IssuedAt)
}
