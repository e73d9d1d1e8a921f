package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

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

// userOf is what of an account leaves the server.
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

func (a *api) me(w http.ResponseWriter, _ *http.Request, who watchword.Identity) error {
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(who.User)})
}

func (a *api) rename(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[renameBody](r)
	if err != nil {
		return err
	}
	if body.Name == nil {
		return unacceptable("name", watchword.FieldRequired, "Enter a name; an empty one is one.")
	}
	user, err := a.engine.Rename(r.Context(), who, *body.Name)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(user)})
}

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

func (a *api) user(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	user, err := a.engine.Profile(r.Context(), who, watchword.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{userOf(user)})
}
