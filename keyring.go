package watchword

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/keyschedule"
	"github.com/watchword-auth/watchword/internal/refreshtoken"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/sharedcall"
	"github.com/watchword-auth/watchword/internal/storable"
	"github.com/watchword-auth/watchword/internal/tokencache"
)

// All processes on one store use the same keys, which the store holds sealed. The state of a key follows from its
// times alone (internal/keyschedule), so processes agree without communication. A process reloads the keys every few
// seconds, and at once when a token names an unknown key.

// Unstable: only the server uses JWKSMaxAge.
const (
	// JWKSMaxAge is how long clients may cache the JWKS. A key is published for longer than this before it signs.
	JWKSMaxAge = 5 * time.Minute

	keysPublishedBefore = 2 * JWKSMaxAge
	keysPoll            = 5 * time.Second
	maxAccessTTL        = time.Hour // upper bound of Options.AccessTTL in every release
	clockLeeway         = 2 * time.Second
)

// A keyring holds the most recently read keys. Signing takes no lock.
type keyring struct {
	store     Store
	box       *seal.Box
	opts      Options
	sharedKey *accesstoken.Key // of HS256; not in the store

	reloading      sync.Mutex
	masterReplaced atomic.Bool // the last reload found keys that this master key does not open
	reloadByToken  sharedcall.Call
	verifiedTokens *tokencache.Cache[*signingKeys, accesstoken.Claims]
	current        atomic.Pointer[keyset]
}

// A keyset holds the unsealed keys of the store.
type keyset struct {
	rows    map[KeyUse][]Key
	times   map[KeyUse][]keyschedule.Key // times of the keys in rows, in the same order
	signing *signingKeys
	refresh map[uint8][]byte  // by number
	peppers map[string][]byte // by id
	secrets map[KeyUse][]byte // of macUses
	jwks    []byte
}

// signingKeys contains the signing keys by kid. The cache of verified tokens compares pointers to signingKeys.
// Therefore a reload replaces the pointer only if the keys have changed.
type signingKeys struct{ byID map[string]accesstoken.Key }

// cachedTokens bounds the cache of verified tokens, at about 1.5 kB each.
const cachedTokens = 4096

func newKeyring(store Store, box *seal.Box, opts Options) (*keyring, error) {
	k := &keyring{store: store, box: box, opts: opts}
	k.verifiedTokens = tokencache.New[*signingKeys, accesstoken.Claims](cachedTokens)
	if opts.SigningAlg == accesstoken.HS256 {
		shared, err := accesstoken.NewHS256([]byte(opts.SigningSecret))
		if err != nil {
			return nil, fmt.Errorf("watchword: Options.SigningSecret: %w", err)
		}
		k.sharedKey = &shared
	}
	return k, nil
}

func (k *keyring) activeSigningKey(now time.Time) (accesstoken.Key, error) {
	if k.sharedKey != nil {
		return *k.sharedKey, nil
	}
	set := k.current.Load()
	i := keyschedule.ActiveAt(set.times[KeySign], now)
	if i < 0 {
		return accesstoken.Key{}, errors.New("no key is active for signing access tokens")
	}
	return set.signing.byID[set.rows[KeySign][i].ID], nil
}

func (k *keyring) activeRefreshNumber(now time.Time) uint8 {
	set := k.current.Load()
	i := keyschedule.ActiveAt(set.times[KeyRefresh], now)
	if i < 0 {
		return 0 // no key has this number
	}
	return uint8(set.rows[KeyRefresh][i].Number)
}

func (k *keyring) refreshSecret(number uint8) ([]byte, bool) {
	secret, ok := k.current.Load().refresh[number]
	return secret, ok
}

// parseRefresh parses a refresh token and checks its MAC. Codes: CodeRefreshInvalid.
func (k *keyring) parseRefresh(ctx context.Context, token Secret) (refreshtoken.Token, error) {
	parsed, err := refreshtoken.Parse(string(token), k.refreshSecret)
	if errors.Is(err, refreshtoken.ErrUnknownKey) {
		if err := k.reloadForToken(ctx); err != nil {
			return refreshtoken.Token{}, err
		}
		parsed, err = refreshtoken.Parse(string(token), k.refreshSecret)
	}
	if err != nil {
		return refreshtoken.Token{}, refuse(CodeRefreshInvalid, "This refresh token is not valid. Sign in again.")
	}
	return parsed, nil
}

// verifyAccessToken returns the claims of a token that is valid at now. Codes: CodeTokenExpired, CodeTokenInvalid.
//
// It caches tokens whose signature is valid, until the signing keys change. The cache entry refers to the keys that
// were loaded before the check. If the keys change during the check, the entry therefore does not count for the new
// keys.
func (k *keyring) verifyAccessToken(ctx context.Context, token Secret, now time.Time) (accesstoken.Claims, error) {
	keys := k.current.Load().signing
	claims, ok := k.verifiedTokens.Get(string(token), keys)
	if ok && claims.IsInTime(now, clockLeeway) {
		return claims, nil
	}
	claims, err := k.verifyUncached(ctx, token, now)
	switch {
	case errors.Is(err, accesstoken.ErrExpired):
		return accesstoken.Claims{}, tokenExpired()
	case errors.Is(err, accesstoken.ErrInvalid):
		return accesstoken.Claims{}, tokenInvalid()
	case err == nil:
		k.verifiedTokens.Put(string(token), keys, claims, claims.Expires, now)
	}
	return claims, err
}

// verifyExpired returns the claims of a token, even if the token has expired. Codes: CodeTokenInvalid.
func (k *keyring) verifyExpired(ctx context.Context, token Secret, now time.Time) (accesstoken.Claims, error) {
	claims, err := k.verifyUncached(ctx, token, now)
	switch {
	case errors.Is(err, accesstoken.ErrExpired):
		return claims, nil
	case errors.Is(err, accesstoken.ErrInvalid):
		return accesstoken.Claims{}, tokenInvalid()
	}
	return claims, err
}

// verifyUncached verifies a token without the cache. If the token names an unknown key, it reloads the keys once and
// tries again.
func (k *keyring) verifyUncached(ctx context.Context, token Secret, now time.Time) (accesstoken.Claims, error) {
	want := accesstoken.Expect{Issuer: k.opts.Issuer, Audience: k.opts.Audience, Now: now, Leeway: clockLeeway}
	unknown := false
	find := func(kid string) (accesstoken.Key, bool) {
		key, ok := k.verifyingKey(kid)
		unknown = !ok
		return key, ok
	}
	claims, err := accesstoken.Verify(string(token), find, want)
	if unknown {
		if err := k.reloadForToken(ctx); err != nil {
			return accesstoken.Claims{}, err
		}
		claims, err = accesstoken.Verify(string(token), find, want)
	}
	if err != nil && !errors.Is(err, accesstoken.ErrExpired) {
		return accesstoken.Claims{}, err
	}
	// A service that shares the HS256 secret can sign any text as an id, but PostgreSQL rejects texts with NUL.
	if !storable.ID(claims.SessionID) || !storable.ID(claims.Subject) {
		return accesstoken.Claims{}, accesstoken.ErrInvalid
	}
	return claims, err
}

func (k *keyring) verifyingKey(kid string) (accesstoken.Key, bool) {
	if k.sharedKey != nil {
		return *k.sharedKey, kid == k.sharedKey.ID()
	}
	key, ok := k.current.Load().signing.byID[kid]
	return key, ok
}

// reloadForToken reloads the keys at most once a second, even if the store does not respond. Concurrent requests
// share a reload. After a failed reload, the same error is returned for a second.
func (k *keyring) reloadForToken(ctx context.Context) error {
	err := k.reloadByToken.Do(ctx, keysPoll, k.reload)
	if ended := ctx.Err(); ended != nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("read keys: %w: %w", ErrUnavailable, ended)
	}
	return err
}

func (k *keyring) reload(ctx context.Context) error {
	k.reloading.Lock()
	defer k.reloading.Unlock()
	rows, err := queryStore(ctx, k.store, func(tx Tx) ([]Key, error) { return tx.Keys(ctx) })
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	set, err := k.unsealKeys(rows)
	k.masterReplaced.Store(errors.Is(err, ErrMasterKey))
	if err != nil {
		return err
	}
	k.reloadByToken.Succeeded()
	// Keep the pointer if the keys are unchanged, so that cached tokens stay valid. Equal documents mean equal keys,
	// because a kid is the hash of its key.
	if before := k.current.Load(); before != nil && bytes.Equal(before.jwks, set.jwks) {
		set.signing = before.signing
	}
	k.current.Store(set)
	return nil
}

func (k *keyring) unsealKeys(rows []Key) (*keyset, error) {
	set := &keyset{
		rows:    map[KeyUse][]Key{},
		times:   map[KeyUse][]keyschedule.Key{},
		signing: &signingKeys{byID: map[string]accesstoken.Key{}},
		refresh: map[uint8][]byte{},
		peppers: map[string][]byte{},
		secrets: map[KeyUse][]byte{},
	}
	var public []accesstoken.Key
	for _, row := range rows {
		secret, err := k.box.Open(sealContext(row), row.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open key %s: %w", row.ID, ErrMasterKey)
		}
		switch row.Use {
		case KeySign:
			key, err := accesstoken.UnmarshalKey(row.Alg, secret)
			if err != nil {
				return nil, fmt.Errorf("read key %s: %w", row.ID, err)
			}
			set.signing.byID[row.ID] = key
			public = append(public, key)
		case KeyRefresh:
			set.refresh[uint8(row.Number)] = secret
		case KeyPepper:
			set.peppers[row.ID] = secret
		default: // one of macUses
			set.secrets[row.Use] = secret
		}
		set.rows[row.Use] = append(set.rows[row.Use], row)
		set.times[row.Use] = append(set.times[row.Use], row.scheduleTimes())
	}
	set.jwks = accesstoken.JWKS(public)
	return set, nil
}

// CheckKeys returns an error that wraps ErrMasterKey if a master key does not open all keys of a store.
//
// Unstable: for the program watchword.
func CheckKeys(ctx context.Context, store Store, master []byte) error {
	box, err := seal.New(master)
	if err != nil {
		return err
	}
	return (&keyring{store: store, box: box}).reload(ctx)
}

// sealContext binds a sealed secret to its row, so that it can't be moved to another row.
func sealContext(row Key) string { return string(row.Use) + " " + row.Alg + " " + row.ID }

func (row Key) scheduleTimes() keyschedule.Key {
	return keyschedule.Key{
		PublishedAt: row.PublishedAt, ActiveFrom: row.ActiveFrom, DropAt: row.DropAt, Number: row.Number}
}

func (k *keyring) generateKey(use KeyUse, number int, published, active time.Time) (Key, error) {
	row := Key{Use: use, Number: number, PublishedAt: published, ActiveFrom: active}
	var secret []byte
	if use == KeyRefresh {
		row.ID, row.Alg, secret = newID(), accesstoken.HS256, seal.NewMaster()
	} else {
		key, err := accesstoken.GenerateKey(k.opts.SigningAlg)
		if err != nil {
			return Key{}, err
		}
		row.ID, row.Alg = key.ID(), k.opts.SigningAlg
		if secret, err = accesstoken.MarshalKey(key); err != nil {
			return Key{}, err
		}
	}
	row.Sealed = k.box.Seal(sealContext(row), secret)
	return row, nil
}

// A KeyInfo is a Key without its secret.
//
// Unstable: for the program watchword.
type KeyInfo struct {
	ID                              string
	Use                             KeyUse
	Alg                             string
	Number                          int
	State                           string // next, active, retired
	PublishedAt, ActiveFrom, DropAt time.Time
}

// Keys applies the schedule and lists the keys by use and ActiveFrom, even if no number is free for the next key.
//
// Unstable: for the program watchword.
func (o Operator) Keys(ctx context.Context) ([]KeyInfo, error) {
	if err := o.engine.scheduleKeys(ctx); err != nil && !errors.Is(err, errNoFreeNumber) {
		return nil, err
	}
	return o.engine.keys.keyInfos(o.engine.now()), nil
}

func (k *keyring) keyInfos(now time.Time) (infos []KeyInfo) {
	set := k.current.Load()
	for _, use := range []KeyUse{KeyRefresh, KeySign} {
		states := keyschedule.States(set.times[use], now)
		for i, row := range set.rows[use] {
			infos = append(infos, KeyInfo{
				ID: row.ID, Use: use, Alg: row.Alg, Number: row.Number, State: string(states[i]),
				PublishedAt: row.PublishedAt, ActiveFrom: row.ActiveFrom, DropAt: row.DropAt,
			})
		}
	}
	return infos
}

// JWKS returns the JSON document of public keys: next, active, retired (RFC 7517 section 5). With HS256 it is empty.
func (e *Engine) JWKS() []byte { return e.keys.current.Load().jwks }
