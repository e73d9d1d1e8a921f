package server

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes read and change the caller's account. Administrators can also read other accounts. Every response
// describes a user as a watchword.Profile, which never contains the password hash.

// A userAnswer has the account in the member user. Later versions can add members next to it without a name conflict.
type userAnswer struct {
	User watchword.Profile `json:"user"`
}

// A meAnswer has the public metadata in a separate member, because names in the metadata could collide with the
// members of an account. Operators write the metadata; the user can't.
type meAnswer struct {
	User     watchword.Profile `json:"user"`
	Metadata json.RawMessage   `json:"metadata" doc:"The public metadata of the account: an object, {} if there is none"`
}

// newMeAnswer needs no query, because the engine has read the metadata with the account.
func newMeAnswer(u watchword.User) meAnswer {
	return meAnswer{u.Profile(), json.RawMessage(cmp.Or(u.Metadata, "{}"))}
}

// A messageBody is the response to a request that returns no data. Its text is for people and may
// change. Programs use the status.
type messageBody struct {
	Message string `json:"message"`
}

// An updateMeBody has pointers, because a missing member keeps the value and an empty member removes it.
type updateMeBody struct {
	Name   *string `json:"name,omitempty" nullable:"false" doc:"At most 200 characters; may be empty"`
	Locale *string `json:"locale,omitempty" nullable:"false" doc:"BCP 47, such as pt-BR; may be empty"`
}

// A passwordBody has the password that confirms an irreversible action.
type passwordBody struct {
	Password string `json:"password"`
}

// readMe responds with the account as it is now, because its roles and address may have changed after the token was
// issued. The engine reads the account for every request anyway, to check that the session is live.
func (a *api) readMe(w http.ResponseWriter, _ *http.Request, who watchword.Identity) error {
	return respond.JSON(w, http.StatusOK, newMeAnswer(who.User))
}

// updateMe changes the name, the locale, or both. A body without a name and a locale is an
// error, because it would change nothing. An empty text is valid and removes the value.
func (a *api) updateMe(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[updateMeBody](r)
	if err != nil {
		return err
	}
	if body.Name == nil && body.Locale == nil {
		return invalidField("name", watchword.FieldRequired, "Send a name or a locale. Each may be empty.")
	}
	user, err := a.engine.UpdateProfile(r.Context(), who, watchword.ProfileChange{Name: body.Name, Locale: body.Locale})
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newMeAnswer(user))
}

// deleteMe deletes the account and signs the browser out. It requires the password, because
// a stolen access token must not be enough.
func (a *api) deleteMe(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[passwordBody](r)
	if err != nil {
		return err
	}
	client := a.clients.readClient(w, r)
	if err := a.engine.DeleteAccount(r.Context(), who, watchword.Secret(body.Password), client); err != nil {
		return err
	}
	if err := a.cookies.endUnusedSession(a.engine, r, client); err != nil {
		return err
	}
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, messageBody{"The account is deleted."})
}

// readUser responds with the caller's own account. For an administrator, it responds with any account. Other callers
// get 404, because a 403 would reveal which ids exist.
func (a *api) readUser(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	user, err := a.engine.Profile(r.Context(), who, watchword.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{user.Profile()})
}
