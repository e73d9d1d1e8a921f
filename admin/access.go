package admin

import (
	"cmp"
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/amr"
	"github.com/watchword-auth/watchword/internal/servicekey"
)

// Access to administration. A caller is a user with the role admin, or a service key. Each request of an
// administrator reads the user, the session and the roles from the store. A demotion therefore takes effect at the
// next request, even if the access token still has the role. Service keys are in servicekey.go.
//
// The checks run in this order: the token, the role, then the level and the age of the session's last proof. A user
// without the role is therefore refused before a step-up is requested.

// A Scope permits a service key to call a group of operations. Administrators have all scopes.
type Scope string

const (
	ScopeUsersRead   Scope = "users:read"
	ScopeUsersWrite  Scope = "users:write"
	ScopeRolesWrite  Scope = "roles:write" // in addition to ScopeUsersWrite; never the role admin
	ScopeSessionsEnd Scope = "sessions:end"
	ScopeEventsRead  Scope = "events:read"
	ScopeMail        Scope = "mail"
	ScopeKeys        Scope = "keys"
)

// A Need is what an operation requires of its caller.
type Need struct {
	Scope Scope // a service key needs this scope; empty: only administrators may call the operation
	Write bool  // the operation changes data, so an administrator needs a recent proof
}

// A Caller performs an operation. It is an administrator or a service key that has met the Need, or a person who runs
// a command.
type Caller struct {
	User    watchword.User    // an administrator; zero for a service key
	Session watchword.Session // zero for a service key
	Key     ServiceKey        // zero for an administrator
	Shell   string            // name of the person who runs a command; empty over HTTP

	claim *claim // the claim on the idempotency key of the request, or nil
}

// Name returns the name of the caller in events.
func (c Caller) Name() string {
	if c.Key.ID != "" {
		return "service key " + c.Key.Name + " (" + c.Key.ID + ")"
	}
	return cmp.Or(c.Shell, string(c.User.Email))
}

// Authorize identifies the sender of a bearer token and decides whether the sender has the
// required access. Codes:
// CodeTokenMissing, CodeTokenInvalid, CodeTokenExpired, CodeSessionEnded, CodeInsufficientScope,
// CodeStepUpRequired; for a service key CodeTokenInvalid, CodeInsufficientScope, CodeRateLimited.
func (m *Manager) Authorize(ctx context.Context, bearer watchword.Secret, requiredAccess Need) (Caller, error) {
	if servicekey.Is(string(bearer)) {
		return m.authorizeKey(ctx, bearer, requiredAccess)
	}
	who, err := m.auth.Authenticate(ctx, bearer)
	if err != nil {
		return Caller{}, err
	}
	return m.AuthorizeUser(who, requiredAccess)
}

// AuthorizeUser decides whether a signed-in user has the required access. The caller must have just read the identity
// from the store. Codes: CodeInsufficientScope, CodeStepUpRequired.
func (m *Manager) AuthorizeUser(who watchword.Identity, requiredAccess Need) (Caller, error) {
	age := m.opts.ReadAge
	if requiredAccess.Write {
		age = m.opts.StepUpAge
	}
	if refusal := decideAccess(who, m.opts.ACR, age, m.engine.Now()); refusal != nil {
		return Caller{}, refusal
	}
	return Caller{User: who.User, Session: who.Session}, nil
}

// decideAccess decides whether a signed-in user may call an administration operation. It checks the role, the level
// of the session, and the age of the session's last proof.
func decideAccess(who watchword.Identity, acr string, age time.Duration, now time.Time) *watchword.Error {
	if !who.User.HasRole(watchword.RoleAdmin) {
		return refuse(watchword.CodeInsufficientScope,
			"Your account lacks the required role. Contact the people who run this service.")
	}
	reaches := amr.Reaches(amr.Level(who.Session.Methods), acr)
	if reaches && now.Sub(who.Session.AuthenticatedAt) <= age {
		return nil
	}
	refusal := refuse(watchword.CodeStepUpRequired, "Confirm that it is you, then try again.")
	if !reaches {
		refusal.Detail = "Administration needs a second factor. Confirm with it, then try again."
	}
	refusal.StepUp = &watchword.StepUp{ACR: acr, MaxAge: age}
	return refusal
}
