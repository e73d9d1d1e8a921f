package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// userBody is a user in the responses of the API. It has no field of the security state, such
// as the password hash.
type userBody struct {
	ID            string    `json:"id" format:"uuid"`
	Email         string    `json:"email" format:"email"`
	EmailVerified bool      `json:"emailVerified"`
	Name          string    `json:"name"`
	Roles         []string  `json:"roles" nullable:"false"`
	CreatedAt     time.Time `json:"createdAt"`
}

type userAnswer struct {
	User userBody `json:"user"`
}

type messageBody struct {
	Message string `json:"message"`
}

type renameBody struct {
	Name *string `json:"name" nullable:"false" doc:"At most 200 characters; may be empty"`
}

type passwordBody struct {
	Password string `json:"password"`
}

// userOf converts a user. Roles is never null in JSON, because clients call array methods.
func userOf(u watchword.User) userBody {
	roles := u.Roles
	if roles == nil {
		roles = []string{}
	}
	return userBody{
		ID: string(u.ID), Email: string(u.Email), EmailVerified: u.Verified(),
		Name: u.Name, Roles: roles, CreatedAt: u.CreatedAt,
	}
}

// me responds with the account as it is now, not as it was when the token was issued.
func (a *api) me(w http.ResponseWriter, _ *http.Request, who watchword.Identity) error {
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(who.User)})
}

// rename changes the name. A missing name is an error, so that a misspelt member does not
// delete the name. An empty name is valid.
func (a *api) rename(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[renameBody](r)
	if err != nil {
		return err
	}
	if body.Name == nil {
		return unacceptable("name", watchword.FieldRequired, "Enter a name. It may be empty.")
	}
	user, err := a.engine.Rename(r.Context(), who, *body.Name)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(user)})
}

// deleteMe deletes the account and clears the refresh cookie. It asks for the password, because
// a stolen access token must not be enough.
func (a *api) deleteMe(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[passwordBody](r)
	if err != nil {
		return err
	}
	if err := a.engine.DeleteAccount(r.Context(), who, watchword.Secret(body.Password), a.clients.of(w, r)); err != nil {
		return err
	}
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, messageBody{"The account is deleted."})
}

// user responds with another account. The engine checks that the caller is an admin, and returns
// not found otherwise.
func (a *api) user(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	user, err := a.engine.Profile(r.Context(), who, watchword.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(user)})
}
