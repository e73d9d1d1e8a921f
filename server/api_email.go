package server

import (
	"context"
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

type tokenBody struct {
	Token string `json:"token" doc:"From the link in the mail"`
}

type changeEmailBody struct {
	NewEmail string `json:"newEmail" format:"email"`
	Password string `json:"password"`
}

func (s *Server) resendVerification(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[emailBody](r)
	if err != nil {
		return err
	}
	if err := s.engine.ResendVerification(r.Context(), body.Email, s.clientOf(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, mailOnItsWay)
}

func (s *Server) changeEmail(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[changeEmailBody](r)
	if err != nil {
		return err
	}
	err = s.engine.ChangeEmail(r.Context(), who, body.NewEmail, watchword.Secret(body.Password), s.clientOf(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, messageBody{"A mail is on its way to the new address. Nothing changes until you confirm it there."})
}

func (s *Server) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	return s.spend(w, r, s.engine.VerifyEmail, "Your address is confirmed.")
}

func (s *Server) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	return s.spend(w, r, s.engine.ConfirmEmail, "The new address is yours. Sign in with it from now on.")
}

func (s *Server) undoEmail(w http.ResponseWriter, r *http.Request) error {
	return s.spend(w, r, s.engine.UndoEmail, "Your address is back, and everybody is signed out. A mail lets you choose a new password.")
}

// spend hands a mailed token to the flow that it is for.
func (s *Server) spend(w http.ResponseWriter, r *http.Request,
	flow func(context.Context, watchword.Secret, watchword.Client) error, done string,
) error {
	body, err := apirequest.Body[tokenBody](r)
	if err != nil {
		return err
	}
	if err := flow(r.Context(), watchword.Secret(body.Token), s.clientOf(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{done})
}
