package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

type emailBody struct {
	Email string `json:"email" format:"email"`
}

type resetBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"body: set no cookie. Default: cookie"`
}

type resetAnswer struct {
	Message     string `json:"message"`
	DeviceToken string `json:"deviceToken" doc:"Identifies a known device in the next login. It grants no access"`
}

type changePasswordBody struct {
	CurrentPassword string `json:"currentPassword"`
	NewPassword     string `json:"newPassword"`
}

// mailOnItsWay is the response to all requests for a mail. It is the same whether or not the
// account exists, so that it does not reveal who has an account.
var mailOnItsWay = messageBody{"If there is an account with this address, we emailed a link to it."}

// forgotPassword sends a link to choose a new password, if the account exists.
func (a *api) forgotPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[emailBody](r)
	if err != nil {
		return err
	}
	if err := a.engine.ForgotPassword(r.Context(), body.Email, a.clients.of(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, mailOnItsWay)
}

// resetPassword sets a new password with the token from a mail. It does not sign in: the user
// proves the new password at the next login.
func (a *api) resetPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[resetBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	device, err := a.engine.ResetPassword(r.Context(),
		watchword.Secret(body.Token), watchword.Secret(body.Password), a.clients.of(w, r))
	if err != nil {
		return err
	}
	if body.Delivery != deliveryBody {
		a.cookies.rememberDevice(w, r, device)
	}
	return respond.JSON(w, http.StatusOK, resetAnswer{
		"Your password is changed, and all sessions have ended. Sign in with the new password.", string(device)})
}

// changePassword ends all other sessions of the account, because one of them may be an attacker's.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[changePasswordBody](r)
	if err != nil {
		return err
	}
	err = a.engine.ChangePassword(r.Context(), who,
		watchword.Secret(body.CurrentPassword), watchword.Secret(body.NewPassword), a.clients.of(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"Your password is changed. Your other sessions have ended."})
}
