package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes manage service keys. Only a signed-in administrator can create, list and revoke them. If a service key
// could create another key, its holder could keep access after the revocation.
//
// The command `watchword service-keys` offers the same operations, so that a script that installs the server can
// create the first key.

// A serviceKeyAnswer describes a key. It does not contain the key itself, which is only in the response
// to its creation.
type serviceKeyAnswer struct {
	ID         string     `json:"id" format:"uuid"`
	Name       string     `json:"name" doc:"The program that uses the key"`
	Scopes     []string   `json:"scopes" nullable:"false"`
	State      string     `json:"state" enum:"active,expired,revoked"`
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty" doc:"Exact to the minute; missing: never"`
	RevokedAt  *time.Time `json:"revokedAt,omitempty"`
}

// A serviceKeysAnswer also lists expired and revoked keys, because security events refer to them.
type serviceKeysAnswer struct {
	Items []serviceKeyAnswer `json:"items" nullable:"false" doc:"The newest first"`
	Next  string             `json:"next,omitempty" doc:"Cursor of the next page, for ?after=; missing: this is the last page"`
}

// newServiceKeyAnswer computes the state, because the store has only times. It omits zero
// times, because they would appear as dates in the year 1.
func newServiceKeyAnswer(k admin.ServiceKey, now time.Time) serviceKeyAnswer {
	body := serviceKeyAnswer{ID: k.ID, Name: k.Name, Scopes: k.Scopes, State: k.State(now), CreatedAt: k.CreatedAt,
		ExpiresAt: k.ExpiresAt}
	if !k.LastUsedAt.IsZero() {
		body.LastUsedAt = &k.LastUsedAt
	}
	if !k.RevokedAt.IsZero() {
		body.RevokedAt = &k.RevokedAt
	}
	return body
}

// listServiceKeys lists keys in pages. The state in the list is only for display, because the server checks the key
// at each request.
func (a *adminAPI) listServiceKeys(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	given, err := parseQuery(r, "after", "limit")
	if err != nil {
		return err
	}
	limit, err := given.pageLimit()
	if err != nil {
		return err
	}
	// There is no filter, because an installation has few keys.
	keys, next, err := a.admin.ServiceKeys(r.Context(), given["after"], limit)
	if err != nil {
		return err
	}
	// The list contains no secrets, so it may be shown on a shared screen.
	answer := serviceKeysAnswer{Items: []serviceKeyAnswer{}, Next: next}
	for _, key := range keys {
		answer.Items = append(answer.Items, newServiceKeyAnswer(key, time.Now()))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// A createServiceKeyBody has the lifetime in seconds, like all durations of the API. Every key
// expires, so that a forgotten one does not stay valid forever.
type createServiceKeyBody struct {
	Name      string   `json:"name" doc:"The program that will use the key. At most 64 bytes"`
	Scopes    []string `json:"scopes" nullable:"false" doc:"users:read, users:write, roles:write, sessions:end, events:read, mail, keys"`
	ExpiresIn int64    `json:"expiresIn,omitempty" doc:"Seconds. Default: 365 days"`
}

// A createdServiceKeyAnswer is the only response that contains a key.
type createdServiceKeyAnswer struct {
	ID  string `json:"id" format:"uuid"`
	Key string `json:"key,omitempty" doc:"The key, shown once"`
}

// createServiceKey bounds the lifetime in seconds first, because the conversion to a duration could overflow.
func (a *adminAPI) createServiceKey(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	body, err := apirequest.Body[createServiceKeyBody](r)
	if err != nil {
		return err
	}
	// A negative number stays negative, so that package admin refuses it.
	seconds := min(max(body.ExpiresIn, -1), int64(2*admin.MaxKeyLife/time.Second))
	// Package admin checks the scopes, for this API and for the command line.
	key, secret, err := a.admin.CreateServiceKey(r.Context(), by,
		admin.NewServiceKey{Name: body.Name, Scopes: body.Scopes, Life: time.Duration(seconds) * time.Second})
	if err != nil {
		return err
	}
	// If the response is lost, the key is lost, too. The administrator then revokes it by its name and creates
	// another key.
	return respond.JSON(w, http.StatusCreated, createdServiceKeyAnswer{key.ID, string(secret)})
}

// revokeServiceKey makes every process reject the key from its next request on. A second revocation gets 404; the
// list shows when the key was revoked.
func (a *adminAPI) revokeServiceKey(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	// Requests with the key that have already begun are not interrupted.
	if err := a.admin.RevokeServiceKey(r.Context(), by, r.PathValue("id")); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The service key is revoked."})
}
