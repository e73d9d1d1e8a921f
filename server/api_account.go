package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

type userAnswer struct {
	User watchword.Profile `json:"user"`
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

// me responds with the account as it is now, not as it was when the token was issued.
func (a *api) me(w http.ResponseWriter, _ *http.Request, who watchword.Identity) error {
	return respond.JSON(w, http.StatusOK, userAnswer{who.User.Profile()})
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
	return respond.JSON(w, http.StatusOK, userAnswer{user.Profile()})
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
	return respond.JSON(w, http.StatusOK, userAnswer{user.Profile()})
}
