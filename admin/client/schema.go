// Code generated from /openapi.json by cmd/watchword/admin_schema_test.go. DO NOT EDIT.

package client

import (
	"encoding/json"
	"net/url"
	"time"
)

// The operations of the document.
var (
	deleteAdminServiceKeysByID        = operation{"DELETE", "/api/admin/service-keys/{id}"}         // Revoke a service key
	deleteAdminUsersByID              = operation{"DELETE", "/api/admin/users/{id}"}                // Delete an account
	deleteAdminUsersByIDSessions      = operation{"DELETE", "/api/admin/users/{id}/sessions"}       // End all sessions of an account
	deleteAdminUsersByIDSessionsBySID = operation{"DELETE", "/api/admin/users/{id}/sessions/{sid}"} // End one session of an account
	getAdminEvents                    = operation{"GET", "/api/admin/events"}                       // Find security events
	getAdminKeys                      = operation{"GET", "/api/admin/keys"}                         // List signing and refresh keys
	getAdminMails                     = operation{"GET", "/api/admin/mails"}                        // List waiting and abandoned mails
	getAdminServiceKeys               = operation{"GET", "/api/admin/service-keys"}                 // List service keys
	getAdminStats                     = operation{"GET", "/api/admin/stats"}                        // Read figures for an overview
	getAdminUsers                     = operation{"GET", "/api/admin/users"}                        // Find accounts
	getAdminUsersByID                 = operation{"GET", "/api/admin/users/{id}"}                   // Read an account with its sessions and events
	getAdminUsersByIDExplain          = operation{"GET", "/api/admin/users/{id}/explain"}           // Say why an account was signed out
	patchAdminUsersByID               = operation{"PATCH", "/api/admin/users/{id}"}                 // Change name, roles, state and metadata of an account
	postAdminKeysRotate               = operation{"POST", "/api/admin/keys/rotate"}                 // Let the next key take over
	postAdminMailsByIDRetry           = operation{"POST", "/api/admin/mails/{id}/retry"}            // Retry a mail now
	postAdminServiceKeys              = operation{"POST", "/api/admin/service-keys"}                // Create a service key
	postAdminUsers                    = operation{"POST", "/api/admin/users"}                       // Create an account, with or without an invitation
	postAdminUsersByIDInvite          = operation{"POST", "/api/admin/users/{id}/invite"}           // Mail another invitation
	postAdminUsersByIDResetFactors    = operation{"POST", "/api/admin/users/{id}/reset-factors"}    // Remove all second factors of an account
	postAdminUsersByIDResetMail       = operation{"POST", "/api/admin/users/{id}/reset-mail"}       // Mail a link to choose a password
	postAdminUsersByIDVerifyMail      = operation{"POST", "/api/admin/users/{id}/verify-mail"}      // Mail a link to verify the address
)

// AdminEventsQuery has the parameters of: Find security events. Zero values are left out.
type AdminEventsQuery struct {
	// The id of an account, also of a deleted one.
	User string
	// A kind, such as login_failed.
	Kind string
	// The network address of the client.
	Address string
	// Inclusive, in RFC 3339.
	From string
	// Exclusive, in RFC 3339.
	To string
	// next of the page before.
	After string
	// 1 to 200. Default: 50.
	Limit int64
}

func (q AdminEventsQuery) values() url.Values {
	v := url.Values{}
	setQuery(v, "user", q.User)
	setQuery(v, "kind", q.Kind)
	setQuery(v, "address", q.Address)
	setQuery(v, "from", q.From)
	setQuery(v, "to", q.To)
	setQuery(v, "after", q.After)
	setQuery(v, "limit", q.Limit)
	return v
}

// AdminMailsQuery has the parameters of: List waiting and abandoned mails. Zero values are left out.
type AdminMailsQuery struct {
	// The id of an account.
	User string
	// next of the page before.
	After string
	// 1 to 200. Default: 50.
	Limit int64
}

func (q AdminMailsQuery) values() url.Values {
	v := url.Values{}
	setQuery(v, "user", q.User)
	setQuery(v, "after", q.After)
	setQuery(v, "limit", q.Limit)
	return v
}

// AdminServiceKeysQuery has the parameters of: List service keys. Zero values are left out.
type AdminServiceKeysQuery struct {
	// next of the page before.
	After string
	// 1 to 200. Default: 50.
	Limit int64
}

func (q AdminServiceKeysQuery) values() url.Values {
	v := url.Values{}
	setQuery(v, "after", q.After)
	setQuery(v, "limit", q.Limit)
	return v
}

// AdminUsersQuery has the parameters of: Find accounts. Zero values are left out.
type AdminUsersQuery struct {
	// A prefix of the address, in any case.
	Email string
	// The id of the account.
	ID string
	// A role that the account holds.
	Role string
	// One of: active, unverified, disabled.
	State string
	// The kind of a second factor. One of: none, any, totp, passkey.
	Factor string
	// next of the page before.
	After string
	// 1 to 200. Default: 50.
	Limit int64
}

func (q AdminUsersQuery) values() url.Values {
	v := url.Values{}
	setQuery(v, "email", q.Email)
	setQuery(v, "id", q.ID)
	setQuery(v, "role", q.Role)
	setQuery(v, "state", q.State)
	setQuery(v, "factor", q.Factor)
	setQuery(v, "after", q.After)
	setQuery(v, "limit", q.Limit)
	return v
}

// AdminUsersExplainQuery has the parameters of: Say why an account was signed out. Zero values are left out.
type AdminUsersExplainQuery struct {
	// When the user noticed, in RFC 3339. Default: now.
	At string
	// One of: en, de.
	Language string
}

func (q AdminUsersExplainQuery) values() url.Values {
	v := url.Values{}
	setQuery(v, "at", q.At)
	setQuery(v, "language", q.Language)
	return v
}

// AdminChange is the schema of that name in the OpenAPI document.
type AdminChange struct {
	// true ends all sessions.
	Disabled *bool `json:"disabled,omitempty"`
	// JSON merge patches (RFC 7396).
	Metadata *AdminMetadata `json:"metadata,omitempty"`
	// At most 200 characters; may be empty.
	Name *string `json:"name,omitempty"`
	// All roles of the account. Not your own.
	Roles []string `json:"roles,omitzero"`
}

// AdminEndedAnswer is the schema of that name in the OpenAPI document.
type AdminEndedAnswer struct {
	// Number of sessions that ended.
	Ended int64 `json:"ended"`
}

// AdminEventAnswer is the schema of that name in the OpenAPI document.
type AdminEventAnswer struct {
	// Its UUID.
	ID   string    `json:"id"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	// Above 1 if the entry counts several.
	Times int64 `json:"times"`
	// IP address of the client.
	Address string `json:"address,omitzero"`
	Detail  string `json:"detail,omitzero"`
	// Name of the device.
	Device string `json:"device,omitzero"`
	// Operator who changed the account.
	Operator  string `json:"operator,omitzero"`
	RequestID string `json:"requestId,omitzero"`
	Session   string `json:"session,omitzero"`
}

// AdminExplainAnswer is the schema of that name in the OpenAPI document.
type AdminExplainAnswer struct {
	// The answer, with its time in UTC.
	Sentence string `json:"sentence"`
	// As in others.
	Reason string `json:"reason"`
	// How certain the answer is.
	Certainty string `json:"certainty"`
	// Further help, such as a later sign-in.
	Notes []string `json:"notes"`
	// The events behind the answer, the newest first.
	Evidence []EventAnswer `json:"evidence"`
	// The other sessions.
	Others []ExplanationAnswer `json:"others"`
	// The session that the answer is about.
	Session string `json:"session,omitzero"`
	// When the session ended; missing: there is no end.
	When time.Time `json:"when,omitzero"`
}

// AdminInvite is the schema of that name in the OpenAPI document.
type AdminInvite struct {
	// Email address of the account.
	Email string `json:"email"`
	// true: the address gets an invitation.
	Invite bool `json:"invite,omitzero"`
	// At most 200 characters.
	Name string `json:"name,omitzero"`
	// Roles of the account, set by an operator.
	Roles []string `json:"roles,omitzero"`
	// true: the address counts as proven. Not with invite, and not by a service key.
	Verified bool `json:"verified,omitzero"`
}

// AdminMetadata is the schema of that name in the OpenAPI document.
type AdminMetadata struct {
	// An object; a member with null is removed.
	Private json.RawMessage `json:"private,omitzero"`
	// An object; a member with null is removed.
	Public json.RawMessage `json:"public,omitzero"`
}

// AdminMetadataAnswer is the schema of that name in the OpenAPI document.
type AdminMetadataAnswer struct {
	// Grows with each change; 0: never written.
	Version int64 `json:"version"`
	// The user reads it at /me.
	Public json.RawMessage `json:"public"`
	// Only administrators and the command line read it.
	Private json.RawMessage `json:"private"`
}

// AdminUser is the schema of that name in the OpenAPI document.
type AdminUser struct {
	State       string `json:"state"`
	HasPassword bool   `json:"hasPassword"`
	// The kinds of second factors: totp, passkey.
	Factors []string `json:"factors"`
	// Its UUID.
	ID string `json:"id"`
	// Email address of the account.
	Email string `json:"email"`
	// Whether the address has been confirmed.
	EmailVerified bool `json:"emailVerified"`
	// Display name; may be empty.
	Name string `json:"name"`
	// Roles of the account, set by an operator.
	Roles []string `json:"roles"`
	// BCP 47, from the sign-up's Accept-Language; empty: unknown.
	Locale string `json:"locale"`
	// When it was created.
	CreatedAt  time.Time `json:"createdAt"`
	DisabledAt time.Time `json:"disabledAt,omitzero"`
}

// AdminUserAnswer is the schema of that name in the OpenAPI document.
type AdminUserAnswer struct {
	// The account.
	User     AdminUser            `json:"user"`
	Metadata *AdminMetadataAnswer `json:"metadata,omitempty"`
}

// AdminUserDetailAnswer is the schema of that name in the OpenAPI document.
type AdminUserDetailAnswer struct {
	// The account.
	User AdminUser `json:"user"`
	// Live sessions, the last used first.
	Sessions []Session `json:"sessions"`
	// The last 100 security events, newest first.
	Events []AdminEventAnswer `json:"events"`
	// Sessions that ended in the last 7 days, the last used first.
	EndedSessions []EndedSessionAnswer `json:"endedSessions"`
	// Mails to this user that wait or were given up.
	Mails []OutboxMailAnswer `json:"mails"`
	// Accounts at providers, the oldest first.
	Identities []IdentityAnswer     `json:"identities"`
	Metadata   *AdminMetadataAnswer `json:"metadata,omitempty"`
}

// AdminUsersAnswer is the schema of that name in the OpenAPI document.
type AdminUsersAnswer struct {
	Items []AdminUser `json:"items"`
	// Cursor of the next page, for ?after=; missing: this is the last page.
	Next string `json:"next,omitzero"`
}

// CreateServiceKey is the schema of that name in the OpenAPI document.
type CreateServiceKey struct {
	// The program that will use the key. At most 64 bytes.
	Name string `json:"name"`
	// users:read, users:write, roles:write, sessions:end, events:read, mail, keys.
	Scopes []string `json:"scopes"`
	// Seconds. Default: 365 days.
	ExpiresIn int64 `json:"expiresIn,omitzero"`
}

// CreatedServiceKeyAnswer is the schema of that name in the OpenAPI document.
type CreatedServiceKeyAnswer struct {
	// Its UUID.
	ID string `json:"id"`
	// The key, shown once.
	Key string `json:"key,omitzero"`
}

// EndedSessionAnswer is the schema of that name in the OpenAPI document.
type EndedSessionAnswer struct {
	// Its UUID.
	ID string `json:"id"`
	// Name of the device.
	Device string `json:"device"`
	// When it was created.
	CreatedAt time.Time `json:"createdAt"`
	// Time of the last refresh.
	LastUsedAt time.Time `json:"lastUsedAt"`
	EndedAt    time.Time `json:"endedAt"`
	// Why it ended.
	Reason string `json:"reason"`
}

// EventAnswer is the schema of that name in the OpenAPI document.
type EventAnswer struct {
	// Its UUID.
	ID    string    `json:"id"`
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Times int64     `json:"times"`
	// IP address of the last use.
	Address string `json:"address,omitzero"`
	Detail  string `json:"detail,omitzero"`
	// Name of the device.
	Device    string `json:"device,omitzero"`
	Operator  string `json:"operator,omitzero"`
	RequestID string `json:"requestId,omitzero"`
	Session   string `json:"session,omitzero"`
	// The account.
	User string `json:"user,omitzero"`
}

// EventsAnswer is the schema of that name in the OpenAPI document.
type EventsAnswer struct {
	// The newest first.
	Items []EventAnswer `json:"items"`
	// Cursor of the next page, for ?after=; missing: this is the last page.
	Next string `json:"next,omitzero"`
}

// ExplanationAnswer is the schema of that name in the OpenAPI document.
type ExplanationAnswer struct {
	// The answer, with its time in UTC.
	Sentence string `json:"sentence"`
	// Why the session ended, or signed_in, roles_changed and others.
	Reason string `json:"reason"`
	// How certain the answer is.
	Certainty string `json:"certainty"`
	// Further help, such as a later sign-in.
	Notes []string `json:"notes"`
	// The session that the answer is about.
	Session string `json:"session,omitzero"`
	// When the session ended; missing: there is no end.
	When time.Time `json:"when,omitzero"`
}

// FieldError is the schema of that name in the OpenAPI document.
type FieldError struct {
	Field string `json:"field"`
	Code  string `json:"code"`
	// One sentence for people.
	Message string `json:"message"`
}

// HourStatsAnswer is the schema of that name in the OpenAPI document.
type HourStatsAnswer struct {
	// Its beginning, in UTC.
	Hour    time.Time `json:"hour"`
	SignIns int64     `json:"signIns"`
	// Wrong passwords and other refused sign-ins.
	FailedSignIns int64 `json:"failedSignIns"`
	// Refreshes with a lost response that kept their session.
	LateForgiven int64 `json:"lateForgiven"`
	// Sessions that ended because a refresh token was copied.
	Reuses int64 `json:"reuses"`
}

// IdentityAnswer is the schema of that name in the OpenAPI document.
type IdentityAnswer struct {
	// Its UUID.
	ID string `json:"id"`
	// Its id in /providers.
	Provider string    `json:"provider"`
	LinkedAt time.Time `json:"linkedAt"`
	// At the provider.
	Email string `json:"email,omitzero"`
	// Time of its last use.
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
}

// KeyStateAnswer is the schema of that name in the OpenAPI document.
type KeyStateAnswer struct {
	// Its UUID.
	ID          string    `json:"id"`
	Use         string    `json:"use"`
	Alg         string    `json:"alg"`
	Number      int64     `json:"number"`
	State       string    `json:"state"`
	PublishedAt time.Time `json:"publishedAt"`
	ActiveFrom  time.Time `json:"activeFrom"`
	// Everything that it signed has expired by then; missing: it has no successor.
	DropAt time.Time `json:"dropAt,omitzero"`
}

// KeyStatesAnswer is the schema of that name in the OpenAPI document.
type KeyStatesAnswer struct {
	Items []KeyStateAnswer `json:"items"`
}

// MailsAnswer is the schema of that name in the OpenAPI document.
type MailsAnswer struct {
	// The oldest first.
	Items []OutboxMailAnswer `json:"items"`
	// Cursor of the next page, for ?after=; missing: this is the last page.
	Next string `json:"next,omitzero"`
}

// Message is the schema of that name in the OpenAPI document.
type Message struct {
	// One sentence for people.
	Message string `json:"message"`
}

// OutboxMailAnswer is the schema of that name in the OpenAPI document.
type OutboxMailAnswer struct {
	// Its UUID.
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	To       string `json:"to"`
	State    string `json:"state"`
	Attempts int64  `json:"attempts"`
	// When it was created.
	CreatedAt time.Time `json:"createdAt"`
	// The reply of the mail server.
	LastError string `json:"lastError,omitzero"`
	// The next attempt; missing: the mail was given up.
	NextAt time.Time `json:"nextAt,omitzero"`
	// The account.
	User string `json:"user,omitzero"`
}

// RotateKeys is the schema of that name in the OpenAPI document.
type RotateKeys struct {
	// sign: access tokens; refresh: refresh tokens.
	Use string `json:"use"`
}

// ServiceKeyAnswer is the schema of that name in the OpenAPI document.
type ServiceKeyAnswer struct {
	// Its UUID.
	ID string `json:"id"`
	// The program that uses the key.
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	State  string   `json:"state"`
	// When it was created.
	CreatedAt time.Time `json:"createdAt"`
	// When it expires.
	ExpiresAt time.Time `json:"expiresAt"`
	// Exact to the minute; missing: never.
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
	RevokedAt  time.Time `json:"revokedAt,omitzero"`
}

// ServiceKeysAnswer is the schema of that name in the OpenAPI document.
type ServiceKeysAnswer struct {
	// The newest first.
	Items []ServiceKeyAnswer `json:"items"`
	// Cursor of the next page, for ?after=; missing: this is the last page.
	Next string `json:"next,omitzero"`
}

// Session is the schema of that name in the OpenAPI document.
type Session struct {
	// Its UUID.
	ID string `json:"id"`
	// A name from the user agent at sign-in.
	Device string `json:"device"`
	// IP address of the last use.
	Address string `json:"address"`
	// When it was created.
	CreatedAt time.Time `json:"createdAt"`
	// Time of the last refresh.
	LastUsedAt time.Time `json:"lastUsedAt"`
	// Unless it is used before.
	ExpiresAt time.Time `json:"expiresAt"`
	// Whether this request belongs to the session.
	Current bool `json:"current"`
}

// StatsAnswer is the schema of that name in the OpenAPI document.
type StatsAnswer struct {
	// At most countedTo.
	Accounts int64 `json:"accounts"`
	// Live sessions. At most countedTo.
	Sessions int64 `json:"sessions"`
	// Where accounts, sessions and events stop counting.
	CountedTo int64 `json:"countedTo"`
	// At most 10,000.
	MailsWaiting int64 `json:"mailsWaiting"`
	// At most 10,000.
	MailsGivenUp int64 `json:"mailsGivenUp"`
	// The last 24 hours, the oldest first. The last one is not over.
	Hours []HourStatsAnswer `json:"hours"`
}

// Refusals of the administration API.
const (
	CodeAmbiguousCredentials   Code = "AMBIGUOUS_CREDENTIALS"
	CodeBodyInvalid            Code = "BODY_INVALID"
	CodeBodyTooLarge           Code = "BODY_TOO_LARGE"
	CodeContentTypeUnsupported Code = "CONTENT_TYPE_UNSUPPORTED"
	CodeCrossOrigin            Code = "CROSS_ORIGIN"
	CodeEmailTaken             Code = "EMAIL_TAKEN"
	CodeInsufficientScope      Code = "INSUFFICIENT_SCOPE"
	CodeInternal               Code = "INTERNAL"
	CodeLastAdmin              Code = "LAST_ADMIN"
	CodeMisdirectedRequest     Code = "MISDIRECTED_REQUEST"
	CodeNotFound               Code = "NOT_FOUND"
	CodeOwnRoles               Code = "OWN_ROLES"
	CodeParameterInvalid       Code = "PARAMETER_INVALID"
	CodeRateLimited            Code = "RATE_LIMITED"
	CodeSessionEnded           Code = "SESSION_ENDED"
	CodeStepUpRequired         Code = "STEP_UP_REQUIRED"
	CodeTokenExpired           Code = "TOKEN_EXPIRED"
	CodeTokenInvalid           Code = "TOKEN_INVALID"
	CodeTokenMissing           Code = "TOKEN_MISSING"
	CodeTryLater               Code = "TRY_LATER"
	CodeValidationFailed       Code = "VALIDATION_FAILED"
	CodeVersionChanged         Code = "VERSION_CHANGED"
)
