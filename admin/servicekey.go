package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
	"github.com/watchword-auth/watchword/internal/servicekey"
	"github.com/watchword-auth/watchword/internal/storable"
)

// Service keys are the credentials of programs at the administration API. A key is computed from its
// id (internal/servicekey), so the store has no secret. Each request reads the row, so a revoked key is
// refused at once by every process.

const (
	// DefaultKeyLife and MaxKeyLife bound the life of a service key.
	DefaultKeyLife = 365 * 24 * time.Hour
	MaxKeyLife     = 3650 * 24 * time.Hour

	maxKeyName = 64 // in bytes

	// lastUseInterval bounds how often the time of the last use is written.
	lastUseInterval = time.Minute
)

// The security events of service keys. These events have no account.
const (
	EventKeyCreated watchword.EventKind = "service_key_created"
	EventKeyRevoked watchword.EventKind = "service_key_revoked"
)

// Scopes returns all scopes in the order of the documentation.
func Scopes() []Scope {
	return []Scope{ScopeUsersRead, ScopeUsersWrite, ScopeRolesWrite, ScopeSessionsEnd, ScopeEventsRead, ScopeMail,
		ScopeKeys}
}

// A ServiceKey is a row of the store: all data about a key, except the key itself.
type ServiceKey struct {
	ID         string // UUID version 7
	Name       string
	Scopes     []string
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // to the minute; zero: never
	RevokedAt  time.Time // zero: not revoked
}

// The states of service keys.
const (
	KeyActive  = "active"
	KeyExpired = "expired"
	KeyRevoked = "revoked"
)

// State returns the state of a key at now.
func (k ServiceKey) State(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case !now.Before(k.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}

// Has reports whether the key has a scope.
func (k ServiceKey) Has(s Scope) bool { return slices.Contains(k.Scopes, string(s)) }

// A NewServiceKey describes a key to create.
type NewServiceKey struct {
	Name   string
	Scopes []string
	Life   time.Duration // 0: DefaultKeyLife
}

// validate returns the problems of the fields, and the scopes in the order of Scopes.
func (n NewServiceKey) validate() (scopes []string, problems []watchword.FieldError) {
	field := func(name, code, message string) {
		problems = append(problems, watchword.FieldError{Field: name, Code: code, Message: message})
	}
	switch {
	case strings.TrimSpace(n.Name) == "":
		field("name", watchword.FieldRequired, "Name the program that will use the key.")
	case len(n.Name) > maxKeyName || !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, isInvisible):
		field("name", watchword.FieldInvalid, "A name has at most 64 bytes and no control characters.")
	}
	for _, s := range Scopes() {
		if slices.Contains(n.Scopes, string(s)) {
			scopes = append(scopes, string(s))
		}
	}
	switch {
	case len(n.Scopes) == 0:
		field("scopes", watchword.FieldRequired, "Give the key at least one scope.")
	case len(scopes) != len(n.Scopes): // an unknown scope, or a duplicate
		field("scopes", watchword.FieldInvalid, "The scopes are users:read, users:write, roles:write, sessions:end, "+
			"events:read, mail and keys, each at most once.")
	}
	if n.Life < 0 || n.Life > MaxKeyLife || (n.Life > 0 && n.Life < time.Minute) {
		field("expiresIn", watchword.FieldInvalid, "A key works for at least a minute and at most 3650 days.")
	}
	return scopes, problems
}

// isInvisible is true for a character that a terminal or an HTML page would not show, such as a line break.
func isInvisible(r rune) bool { return !unicode.IsGraphic(r) }

// CreateServiceKey creates a key. Only this call returns the secret. Codes: CodeValidationFailed
// (name, scopes, expiresIn), CodeInsufficientScope (by a service key). A repeated request gets no
// secret.
func (m *Manager) CreateServiceKey(
	ctx context.Context, by Caller, n NewServiceKey,
) (ServiceKey, watchword.Secret, error) {
	if by.Key.ID != "" {
		return ServiceKey{}, "", keyForbidden()
	}
	if id, repeated := by.Repeated(); repeated {
		return m.keyOfEarlierRequest(ctx, id)
	}
	scopes, problems := n.validate()
	if len(problems) > 0 {
		refusal := refuse(watchword.CodeValidationFailed, problems[0].Message)
		refusal.Fields = problems
		return ServiceKey{}, "", refusal
	}
	now := m.engine.Now()
	id, err := uuid.NewV7()
	if err != nil {
		return ServiceKey{}, "", fmt.Errorf("id of a service key: %w", err)
	}
	key := ServiceKey{ID: id.String(), Name: n.Name, Scopes: scopes, CreatedAt: now,
		ExpiresAt: now.Add(cmp.Or(n.Life, DefaultKeyLife)).Truncate(time.Millisecond)}
	event := m.newKeyEvent(EventKeyCreated, by, key, now)
	err = m.store.Update(ctx, func(tx Tx) error {
		if err := tx.InsertServiceKey(ctx, key); err != nil {
			return err
		}
		if err := tx.InsertEvent(ctx, event); err != nil {
			return err
		}
		return m.finishInTx(ctx, tx, by, statusCreated, key.ID)
	})
	if err != nil {
		return ServiceKey{}, "", err
	}
	m.engine.Announce(event)
	return key, watchword.Secret(servicekey.Sign(m.engine.MACSecret(watchword.KeyService), id)), nil
}

// keyOfEarlierRequest returns the key without its secret, which only the first response has.
func (m *Manager) keyOfEarlierRequest(
	ctx context.Context, id string,
) (key ServiceKey, none watchword.Secret, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		key, err = tx.ServiceKey(ctx, id)
		return err
	})
	if errors.Is(err, watchword.ErrNotFound) {
		err = noServiceKey()
	}
	return key, "", err
}

// ServiceKeys lists keys, including expired and revoked keys, the newest first. A limit of 0
// means DefaultLimit. Codes: CodeParameterInvalid.
func (m *Manager) ServiceKeys(
	ctx context.Context, cursor string, limit int,
) (keys []ServiceKey, next string, err error) {
	const list, last = "service-keys", "~" // all ids sort before "~"
	before, err := m.openCursor(list, cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(cmp.Or(max(limit, 0), DefaultLimit), MaxLimit)
	err = m.store.View(ctx, func(tx Tx) error {
		keys, err = tx.ServiceKeys(ctx, cmp.Or(before, last), limit+1)
		return err
	})
	if len(keys) > limit {
		keys = keys[:limit]
		next = m.sealCursor(list, keys[limit-1].ID)
	}
	return keys, next, err
}

// RevokeServiceKey makes a key invalid at once. Codes: CodeNotFound (even if it was revoked before),
// CodeInsufficientScope (by a service key).
func (m *Manager) RevokeServiceKey(ctx context.Context, by Caller, id string) error {
	if by.Key.ID != "" {
		return keyForbidden()
	}
	if _, repeated := by.Repeated(); repeated {
		return nil
	}
	if !storable.ID(id) {
		return noServiceKey()
	}
	now := m.engine.Now()
	var event watchword.Event
	err := m.store.Update(ctx, func(tx Tx) error {
		revoked, err := tx.RevokeServiceKey(ctx, id, now)
		if err == nil && !revoked {
			err = watchword.ErrNotFound
		}
		if err != nil {
			return err
		}
		key, err := tx.ServiceKey(ctx, id)
		if err != nil {
			return err
		}
		event = m.newKeyEvent(EventKeyRevoked, by, key, now)
		if err := tx.InsertEvent(ctx, event); err != nil {
			return err
		}
		return m.finishInTx(ctx, tx, by, statusOK, "")
	})
	if errors.Is(err, watchword.ErrNotFound) {
		return noServiceKey()
	}
	if err == nil {
		m.engine.Announce(event)
	}
	return err
}

func noServiceKey() error {
	return refuse(watchword.CodeNotFound, "No service key that can be revoked has this id.")
}

// newKeyEvent names the key, but not its scopes. The scopes are in the row of the key, which is kept as long as the
// event.
func (m *Manager) newKeyEvent(kind watchword.EventKind, by Caller, k ServiceKey, now time.Time) watchword.Event {
	event := m.engine.Event(kind, watchword.User{}, "", watchword.Client{}, now)
	event.Operator, event.Detail = by.Name(), k.Name+" ("+k.ID+")"
	return event
}

// authorizeKey identifies a service key and decides whether it has the required access. It rejects a forged key
// without a query. A request with a live key counts against the rate limit of that key, even if the key lacks the
// scope.
func (m *Manager) authorizeKey(ctx context.Context, given watchword.Secret, requiredAccess Need) (Caller, error) {
	id, ok := servicekey.Parse(string(given), m.engine.MACSecret(watchword.KeyService))
	if !ok {
		return Caller{}, keyInvalid()
	}
	now := m.engine.Now()
	var key ServiceKey
	err := m.store.View(ctx, func(tx Tx) (err error) {
		key, err = tx.ServiceKey(ctx, uuid.UUID(id).String())
		return err
	})
	switch {
	case errors.Is(err, watchword.ErrNotFound):
		return Caller{}, keyInvalid() // deleted by the sweep, or missing in a restored backup
	case err != nil:
		return Caller{}, err
	case key.State(now) != KeyActive:
		return Caller{}, keyInvalid()
	}
	if err := m.recordKeyUse(ctx, key, now); err != nil {
		return Caller{}, err
	}
	if refusal := decideKeyAccess(key, requiredAccess); refusal != nil {
		return Caller{}, refusal
	}
	return Caller{Key: key}, nil
}

// recordKeyUse counts the request against the rate limit of its key, and updates the time of the last use.
func (m *Manager) recordKeyUse(ctx context.Context, key ServiceKey, now time.Time) error {
	var wait time.Duration
	err := m.store.Update(ctx, func(tx Tx) (err error) {
		wait, err = m.engine.ChargeServiceKey(ctx, tx, m.opts.KeyLimit, key.ID, now)
		if err != nil || wait > 0 || now.Sub(key.LastUsedAt) < lastUseInterval {
			return err
		}
		return tx.TouchServiceKey(ctx, key.ID, now, now.Add(-lastUseInterval))
	})
	if err == nil && wait > 0 {
		refusal := refuse(watchword.CodeRateLimited,
			"This service key has made too many requests. Try again in "+ratelimit.InWords(wait)+".")
		refusal.RetryAfter = wait
		return refusal
	}
	return err
}

// decideKeyAccess checks only the scope. A key has no roles and no session, so there is no level or age of a proof.
func decideKeyAccess(key ServiceKey, need Need) *watchword.Error {
	switch {
	case need.Scope == "":
		return keyForbidden()
	case !key.Has(need.Scope):
		return refuse(watchword.CodeInsufficientScope, "This service key needs the scope "+string(need.Scope)+".")
	}
	return nil
}

func keyInvalid() *watchword.Error {
	return refuse(watchword.CodeTokenInvalid, "The service key is invalid, expired or revoked.")
}

func keyForbidden() *watchword.Error {
	return refuse(watchword.CodeInsufficientScope, "Only a signed-in administrator can do this, not a service key.")
}
