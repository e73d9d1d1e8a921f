package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/metadata"
)

// Administrators change accounts and read the details of one account. The security events of these changes name the
// administrator by email address.
//
// An administrator never sets a password, and no response has a token: the user gets a mail.
//
// Handlers pass the caller to package admin and make no decision. Package admin refuses a change of the caller's own
// roles and the removal of the last administrator. The engine refuses values that the command line would refuse,
// because both call the same function.

// An adminUserAnswer has the account in the member user, so that later versions can add members next to it.
type adminUserAnswer struct {
	User     adminUserBody        `json:"user"`
	Metadata *adminMetadataAnswer `json:"metadata,omitempty"`
}

// An adminMetadataAnswer has the public and the private metadata of an account. The version is also the ETag of the
// response, in the form that If-Match takes.
type adminMetadataAnswer struct {
	Version int64           `json:"version" doc:"Grows with each change; 0: never written"`
	Public  json.RawMessage `json:"public" doc:"The user reads it at /me"`
	Private json.RawMessage `json:"private" doc:"Only administrators and the command line read it"`
}

// newMetadataAnswer converts m and sets the ETag. It writes {} for an empty object, so that clients
// need not check for null.
func newMetadataAnswer(w http.ResponseWriter, m metadata.Metadata) *adminMetadataAnswer {
	w.Header().Set("ETag", m.ETag())
	return &adminMetadataAnswer{m.Version, json.RawMessage(cmp.Or(m.Public, "{}")),
		json.RawMessage(cmp.Or(m.Private, "{}"))}
}

// An adminUserDetailAnswer has everything about an account that support needs at once. All lists are
// bounded, so they need no cursor.
type adminUserDetailAnswer struct {
	User     adminUserBody        `json:"user"`
	Metadata *adminMetadataAnswer `json:"metadata,omitempty"`
	Sessions []sessionBody        `json:"sessions" nullable:"false" doc:"Live sessions, the last used first"`
	Events   []adminEventAnswer   `json:"events" nullable:"false" doc:"The last 100 security events, newest first"`

	Ended []endedSessionAnswer `json:"endedSessions" nullable:"false" doc:"Sessions that ended in the last 7 days, the last used first"`
	Mails []outboxMailAnswer   `json:"mails" nullable:"false" doc:"Mails to this user that wait or were given up"`

	Identities []identityAnswer `json:"identities" nullable:"false" doc:"Accounts at providers, the oldest first"`
}

// An endedSessionAnswer has the reason as a word for programs. It has a reason even if the server recorded none, as
// after an idle timeout. The route explain returns the reason as a sentence.
type endedSessionAnswer struct {
	ID         watchword.SessionID `json:"id" format:"uuid"`
	Device     string              `json:"device"`
	CreatedAt  time.Time           `json:"createdAt"`
	LastUsedAt time.Time           `json:"lastUsedAt"`
	EndedAt    time.Time           `json:"endedAt"`
	Reason     watchword.EndReason `json:"reason" doc:"Why it ended"`
}

// An adminEventAnswer is one security event. Empty members are omitted, because most kinds have few members. The id
// is unique. If one entry counts several events, its id stays the same when the count grows. A client that polls can
// thus replace its copy.
type adminEventAnswer struct {
	ID        string    `json:"id" format:"uuid"`
	Kind      string    `json:"kind"`
	At        time.Time `json:"at"`
	Session   string    `json:"session,omitempty"`
	Address   string    `json:"address,omitempty" doc:"IP address of the client"`
	Device    string    `json:"device,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Times     int       `json:"times" doc:"Above 1 if the entry counts several"`
	Operator  string    `json:"operator,omitempty" doc:"Operator who changed the account"`
}

// readUserDetail responds with one account. An unknown id gets 404, even if it is not a UUID. Each list is read in a
// separate transaction. A session that ends between two reads can be in the lists of live and of ended sessions.
func (a *adminAPI) readUserDetail(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	id := watchword.UserID(r.PathValue("id"))
	account, err := a.admin.User(r.Context(), id)
	if err != nil {
		return err
	}
	operator := a.admin.Operator(by)
	sessions, err := operator.UserSessions(r.Context(), id)
	if err != nil {
		return err
	}
	// A client finds older events with GET /events and the parameter user.
	const lastEvents = 100
	events, err := operator.UserEvents(r.Context(), id, lastEvents)
	if err != nil {
		return err
	}
	ended, mails, err := a.admin.History(r.Context(), id)
	if err != nil {
		return err
	}
	answer := adminUserDetailAnswer{User: newAdminUserBody(account), Sessions: []sessionBody{},
		Events: []adminEventAnswer{}, Ended: []endedSessionAnswer{}, Mails: []outboxMailAnswer{}}
	if answer.Identities, err = a.readIdentities(r.Context(), id); err != nil {
		return err
	}
	for _, one := range ended {
		answer.Ended = append(answer.Ended, endedSessionAnswer{
			one.ID, one.Device, one.CreatedAt, one.LastUsed(), one.EndedAt, one.EndedWhy})
	}
	for _, mail := range mails {
		answer.Mails = append(answer.Mails, newOutboxMail(mail))
	}
	if a.metadata != nil {
		found, err := a.metadata.Get(r.Context(), id)
		if err != nil {
			return err
		}
		answer.Metadata = newMetadataAnswer(w, found)
	}
	for _, one := range sessions {
		answer.Sessions = append(answer.Sessions, sessionBody{
			ID: string(one.ID), Device: one.Device, Address: one.Address, CreatedAt: one.CreatedAt,
			LastUsedAt: one.LastUsed(), ExpiresAt: a.engine.SessionExpires(one), Current: one.ID == by.Session.ID,
		})
	}
	for _, ev := range events {
		answer.Events = append(answer.Events, adminEventAnswer{ev.ID, string(ev.Kind), ev.At, string(ev.SessionID),
			ev.Address, ev.Device, ev.RequestID, ev.Detail, ev.Times, ev.Operator})
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// An adminInviteBody has no password: the user chooses one. If invite is true, a link to choose a password is mailed
// to the address. Otherwise, the user signs in with a provider or requests a password reset. The name of the type
// stays, although not every account is invited, because generated clients contain it.
type adminInviteBody struct {
	Email    string   `json:"email" format:"email"`
	Name     string   `json:"name,omitempty" doc:"At most 200 characters"`
	Roles    []string `json:"roles,omitempty" nullable:"false"`
	Invite   bool     `json:"invite,omitempty" doc:"true: the address gets an invitation"`
	Verified bool     `json:"verified,omitempty" doc:"true: the address counts as proven. Not with invite, and not by a service key"`
}

// createUser creates no second account if a client repeats the request. The repetition gets EMAIL_TAKEN, or the first
// result if it has the same Idempotency-Key.
func (a *adminAPI) createUser(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	body, err := apirequest.Body[adminInviteBody](r)
	if err != nil {
		return err
	}
	user, err := a.admin.Create(r.Context(), by, admin.NewAccount{
		Email: body.Email, Name: body.Name, Roles: body.Roles, Invite: body.Invite, Verified: body.Verified})
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusCreated, adminUserAnswer{User: newAdminUserBody(admin.Account{User: user})})
}

// An adminChangeBody has pointers, because a missing member keeps the value and an empty member removes it. Roles
// replaces all roles of the account, as on the command line. If two administrators change the roles at the same time,
// the later change wins.
type adminChangeBody struct {
	Name     *string   `json:"name,omitempty" nullable:"false" doc:"At most 200 characters; may be empty"`
	Roles    *[]string `json:"roles,omitempty" nullable:"false" doc:"All roles of the account. Not your own"`
	Disabled *bool     `json:"disabled,omitempty" nullable:"false" doc:"true ends all sessions"`

	Metadata *adminMetadataBody `json:"metadata,omitempty" nullable:"false" doc:"JSON merge patches (RFC 7396)"`
}

// An adminMetadataBody has one merge patch for the public and one for the private metadata. The patches stay
// undecoded, because a decoder would round numbers beyond 2^53.
type adminMetadataBody struct {
	Public  json.RawMessage `json:"public,omitempty" doc:"An object; a member with null is removed"`
	Private json.RawMessage `json:"private,omitempty" doc:"An object; a member with null is removed"`
}

// metadataChange returns a function that changes the metadata inside the transaction of changeUser and stores the new
// metadata in *newMetadata. The function is nil if the request has neither metadata nor If-Match. If-Match covers only
// the metadata: name, roles and state have no version.
func (a *adminAPI) metadataChange(
	w http.ResponseWriter, r *http.Request, by admin.Caller, body *adminMetadataBody, newMetadata *metadata.Metadata,
) (func(context.Context, watchword.Tx) ([]watchword.Event, error), error) {
	ifMatch := r.Header.Get("If-Match")
	if body == nil && ifMatch == "" {
		return nil, nil
	}
	if a.metadata == nil {
		return nil, invalidField("metadata", watchword.FieldInvalid, "This server has no metadata of accounts.")
	}
	patch := metadata.Patch{IfMatch: ifMatch, Operator: by.Name(), Client: a.clients.readClient(w, r)}
	if body != nil {
		patch.Public, patch.Private = string(body.Public), string(body.Private)
	}
	id := watchword.UserID(r.PathValue("id"))
	return func(ctx context.Context, tx watchword.Tx) (events []watchword.Event, err error) {
		*newMetadata, events, err = a.metadata.PatchIn(ctx, tx, id, patch)
		return events, err
	}, nil
}

// changeUser changes the given members in one transaction, so a refusal changes no member. The response has the
// account after the change, so that a client also shows the changes of other administrators. If the roles have just
// changed, another change of roles waits up to five seconds (watchword.Operator.AwaitRoles).
func (a *adminAPI) changeUser(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	body, err := apirequest.PatchBody[adminChangeBody](r)
	if err != nil {
		return err
	}
	change := admin.Change{Name: body.Name, Roles: body.Roles, Disabled: body.Disabled}
	var written metadata.Metadata
	if change.With, err = a.metadataChange(w, r, by, body.Metadata, &written); err != nil {
		return err
	}
	account, err := a.admin.Change(r.Context(), by, watchword.UserID(r.PathValue("id")), change)
	if err != nil {
		return err
	}
	answer := adminUserAnswer{User: newAdminUserBody(account)}
	if _, repeated := by.Repeated(); change.With != nil && repeated { // the request was repeated, so With did not run
		if written, err = a.metadata.Get(r.Context(), account.ID); err != nil {
			return err
		}
	}
	if change.With != nil {
		answer.Metadata = newMetadataAnswer(w, written)
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// deleteUser is immediate and permanent. Only the event of the deletion is kept. A client that repeats the request
// after a lost response gets 404, which means that the account is deleted.
func (a *adminAPI) deleteUser(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	if err := a.admin.Delete(r.Context(), by, watchword.UserID(r.PathValue("id"))); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The account is deleted."})
}

// sendResetMail puts a mail into the outbox, which sends it after the response (202). An account
// that was invited and has no password gets another invitation instead.
func (a *adminAPI) sendResetMail(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	return a.sendMail(w, r, by, watchword.MailReset)
}

// sendVerificationMail returns an error if the address is already verified, because the outbox would drop the mail.
func (a *adminAPI) sendVerificationMail(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	return a.sendMail(w, r, by, watchword.MailVerify)
}

// sendInvitation invalidates the previous invitation. It fails for an account that has a password or a verified
// address. Otherwise a person who finds an old invitation could replace the password.
func (a *adminAPI) sendInvitation(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	return a.sendMail(w, r, by, watchword.MailInvite)
}

// sendMail has no separate rate limit, because administrators send few mails. If the limit of mails to an address is
// used up, the outbox drops further verification mails.
func (a *adminAPI) sendMail(w http.ResponseWriter, r *http.Request, by admin.Caller, kind watchword.MailKind) error {
	if err := a.admin.SendMail(r.Context(), by, watchword.UserID(r.PathValue("id")), kind); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, messageBody{"The mail will be sent."})
}

// resetUserFactors also ends the sessions of the user, because a lost phone may be signed in. It calls package
// factors itself, because package admin can't import package factors.
func (a *adminAPI) resetUserFactors(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	if _, repeated := by.Repeated(); !repeated {
		if err := a.resetFactors(r.Context(), by, watchword.UserID(r.PathValue("id"))); err != nil {
			return err
		}
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The second factors are removed. All sessions have ended."})
}

// resetFactors asks package admin first. A caller without the permission therefore does not learn whether the server
// has second factors.
func (a *adminAPI) resetFactors(ctx context.Context, by admin.Caller, id watchword.UserID) error {
	if err := a.admin.MayResetFactors(ctx, by, id); err != nil {
		return err
	}
	if a.factors == nil {
		return &watchword.Error{Code: watchword.CodeNotFound, Detail: "This server has no second factors."}
	}
	return a.factors.Reset(ctx, by.Name(), id)
}

// An adminEndedAnswer has the number of ended sessions, so that a page can say that no session was
// live. The feed publishes each end within a second.
type adminEndedAnswer struct {
	Ended int `json:"ended" doc:"Number of sessions that ended"`
}

// endUserSessions ends the session in the path, or all sessions of the account if the path has
// no session.
func (a *adminAPI) endUserSessions(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	ended, err := a.admin.EndSessions(r.Context(), by,
		watchword.UserID(r.PathValue("id")), watchword.SessionID(r.PathValue("sid")))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, adminEndedAnswer{ended})
}
