// Package metadata stores application data with an account, as two JSON objects. Only operators can write them. The
// user can read Public, and only operators can read Private.
//
// Access tokens can contain values of Public (watchword.Claims, "@public.PATH").
//
// Unstable: for packages of this module.
package metadata

import (
	"context"
	"strconv"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/metadata"
)

// Metadata contains both JSON objects of an account, without whitespace. An empty object is
// "".
//
// Unstable: for packages of this module.
type Metadata struct {
	Version int64 // 0 if the metadata was never written
	Public  string
	Private string
}

// ETag returns the version as an entity tag (RFC 9110).
func (m Metadata) ETag() string { return strconv.Quote(strconv.FormatInt(m.Version, 10)) }

// CodeVersionChanged means that the metadata has changed after the caller read it.
//
// Unstable: for packages of this module.
const CodeVersionChanged watchword.Code = "VERSION_CHANGED"

const eventChanged watchword.EventKind = "metadata_changed"

// A Manager reads and writes metadata. It is safe for concurrent use.
//
// Unstable: for packages of this module.
type Manager struct {
	engine watchword.Inside
	store  Store
}

// New returns a Manager. The store must be that of the engine.
//
// Unstable: for packages of this module.
func New(e *watchword.Engine, store Store) *Manager { return &Manager{e.Inside(), store} }

// Get returns the metadata of an account.
func (m *Manager) Get(ctx context.Context, id watchword.UserID) (found Metadata, err error) {
	err = m.store.View(ctx, func(tx Tx) error {
		found, err = tx.Metadata(ctx, id)
		return err
	})
	return found, err
}

// A Patch changes metadata with JSON merge patches (RFC 7396).
//
// Unstable: for packages of this module.
type Patch struct {
	Public  string // a merge patch; "" changes nothing, "null" empties the object
	Private string

	// IfMatch is the ETag that the stored metadata must have (the header If-Match). "" and "*" accept any version.
	IfMatch string

	// Now invalidates the user's access tokens, so that clients refresh and get the new values immediately. Without
	// Now, tokens contain the new values after their next refresh.
	Now bool

	Operator string // name of the operator for the event, or empty
	Client   watchword.Client
}

// Patch changes the metadata of an account. Its error codes are CodeNotFound, CodeVersionChanged (IfMatch) and
// CodeValidationFailed. CodeValidationFailed means that a patch is not an object, is nested too deeply or is too
// large, or that an access token would be too large.
func (m *Manager) Patch(ctx context.Context, id watchword.UserID, p Patch) (changed Metadata, err error) {
	var events []watchword.Event
	err = m.store.Update(ctx, func(tx Tx) error {
		before, err := m.engine.Hold(ctx, tx, id)
		if err == nil {
			changed, events, err = m.PatchIn(ctx, tx, id, p)
		}
		if err == nil {
			err = m.checkTokenSize(before, changed.Public)
		}
		return err
	})
	if err == nil {
		m.engine.Announce(events...)
	}
	return changed, err
}

// PatchIn is like Patch, but runs in a transaction of the caller, which must be from the store of this package. After
// its last change, the caller must call watchword.Inside.CheckToken. After the commit, the caller must announce the
// returned events. A patch that changes no value returns no event.
//
// Unstable: for packages of this module.
func (m *Manager) PatchIn(
	ctx context.Context, in watchword.Tx, id watchword.UserID, p Patch,
) (changed Metadata, events []watchword.Event, err error) {
	now, tx := m.engine.Now(), in.(Tx)
	// The lock prevents concurrent patches of the account, and its deletion.
	user, err := m.engine.Hold(ctx, tx, id)
	if err != nil {
		return Metadata{}, nil, err
	}
	stored, err := tx.Metadata(ctx, id)
	if err != nil {
		return Metadata{}, nil, err
	}
	if p.IfMatch != "" && p.IfMatch != "*" && p.IfMatch != stored.ETag() {
		return Metadata{}, nil, versionChanged()
	}
	if changed, err = mergePatch(stored, p); err != nil || changed == stored {
		return changed, nil, err // after an error, or if the patch changes nothing
	}
	changed.Version++
	written, err := tx.SetMetadata(ctx, id, changed, stored.Version)
	if err == nil && !written {
		err = versionChanged()
	}
	if err == nil && p.Now {
		err = m.engine.OutdateTokens(ctx, tx, user, now)
	}
	event := m.engine.Event(eventChanged, watchword.User{ID: id}, "", p.Client, now)
	event.Operator = p.Operator
	if err == nil {
		err = tx.InsertEvent(ctx, event)
	}
	return changed, []watchword.Event{event}, err
}

// checkTokenSize returns an error if the new public metadata could make the user's access tokens too long.
func (m *Manager) checkTokenSize(user watchword.User, public string) error {
	after := user
	after.Metadata = public
	return m.engine.CheckToken(user, after)
}

// mergePatch returns the metadata after the patch. It checks the depth and size of the result.
func mergePatch(stored Metadata, p Patch) (Metadata, error) {
	changed := stored
	for _, one := range []struct {
		field, patch string
		object       *string
	}{{"public", p.Public, &changed.Public}, {"private", p.Private, &changed.Private}} {
		if one.patch == "" {
			continue
		}
		merged, err := metadata.Merge(*one.object, one.patch)
		if err != nil {
			return Metadata{}, refused(one.field, err)
		}
		*one.object = merged
	}
	if err := metadata.CheckSize(changed.Public, changed.Private); err != nil {
		return Metadata{}, refused("metadata", err)
	}
	return changed, nil
}

func refused(field string, err error) error {
	return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: err.Error(),
		Fields: []watchword.FieldError{{Field: field, Code: watchword.FieldInvalid, Message: err.Error()}}}
}

func versionChanged() error {
	return &watchword.Error{Code: CodeVersionChanged,
		Detail: "The metadata has changed since you read it. Read it again, and repeat your change."}
}
