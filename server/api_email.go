package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

type tokenBody struct {
	Token string `json:"token" doc:"From the link in the mail"`
}

type verifyBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password,omitempty" doc:"Of a sign-up with this address. Not needed with a live session of the account"`
	Remember *bool  `json:"remember,omitempty" doc:"As in a login. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where the refresh token is to go. Default: cookie"`
}

type confirmBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password,omitempty" doc:"The account's. Not needed with a live session of the account"`
}

// verifiedAnswer describes both answers: a message, or a sign-in.
type verifiedAnswer struct {
	Message      string    `json:"message,omitempty" doc:"With a live session, and nothing else then"`
	User         *userBody `json:"user,omitempty" doc:"With a password: the members of a login's answer"`
	AccessToken  string    `json:"accessToken,omitempty" doc:"JWT (RFC 9068)"`
	TokenType    string    `json:"tokenType,omitempty" enum:"Bearer"`
	ExpiresIn    int64     `json:"expiresIn,omitempty" doc:"Seconds"`
	RefreshToken string    `json:"refreshToken,omitempty" doc:"Only with delivery: body"`
	DeviceToken  string    `json:"deviceToken,omitempty" doc:"Only with delivery: body. As in a login"`
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
	body, err := apirequest.Body[verifyBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	in, err := s.engine.VerifyEmail(r.Context(), watchword.VerifyRequest{
		Token: watchword.Secret(body.Token), Presented: s.presented(r), Password: watchword.Secret(body.Password),
		Persistent: body.Remember == nil || *body.Remember, Client: s.clientOf(w, r),
		Replaces: s.replacedToken(r, body.Delivery),
	})
	if err != nil {
		return err
	}
	if in == nil {
		return respond.JSON(w, http.StatusOK, messageBody{"Your address is confirmed."})
	}
	return s.signIn(w, r, http.StatusOK, in, body.Delivery)
}

func (s *Server) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[confirmBody](r)
	if err != nil {
		return err
	}
	_, err = s.engine.ConfirmEmail(r.Context(), watchword.ConfirmRequest{
		Token: watchword.Secret(body.Token), Presented: s.presented(r),
		Password: watchword.Secret(body.Password), Client: s.clientOf(w, r),
	})
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The new address is yours. Sign in with it from now on."})
}

func (s *Server) undoEmail(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[tokenBody](r)
	if err != nil {
		return err
	}
	if err := s.engine.UndoEmail(r.Context(), watchword.Secret(body.Token), s.clientOf(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"Your address is back, and everybody is signed out. A mail lets you choose a new password."})
}
