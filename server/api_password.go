package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes reset and change passwords. A reset needs only the token from a mail, because the user may have no
// session. A change needs the current password and ends the other sessions. Requests for mails get the same response
// for all addresses.

// An emailBody has an address without a proof of ownership. Every response to it is the
// same for all addresses.
type emailBody struct {
	Email string `json:"email" format:"email"`
}

// A resetBody has a delivery, although a reset returns no refresh token. The delivery decides whether the device
// token is in a cookie or in the body.
type resetBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"body: set no cookie. Default: cookie"`
}

// A resetAnswer has a device token, which makes this device known at the next login. Failed logins on other devices
// then can't lock the owner out.
type resetAnswer struct {
	Message     string `json:"message"`
	DeviceToken string `json:"deviceToken" doc:"Identifies a known device in the next login. It grants no access"`
}

// A changePasswordBody has the current password, which proves that the caller is the owner and not a thief with an
// access token.
type changePasswordBody struct {
	CurrentPassword string `json:"currentPassword"`
	NewPassword     string `json:"newPassword"`
}

// mailRequestedAnswer is the same whether or not the account exists, so that it does not reveal who has an account.
var mailRequestedAnswer = messageBody{"If there is an account with this address, we emailed a link to it."}

// forgotPassword sends a link to choose a new password, if the account exists. The engine writes
// the mail to the outbox, so a slow mail server doesn't delay the response.
func (a *api) forgotPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[emailBody](r)
	if err != nil {
		return err
	}
	if err := a.engine.ForgotPassword(r.Context(), body.Email, "", a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, mailRequestedAnswer)
}

// resetPassword sets a new password with the token from a mail. It does not sign in: the user
// enters the new password at the next login.
func (a *api) resetPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[resetBody](r)
	if err != nil {
		return err
	}
	// The delivery is checked first, because the engine consumes the token, which works only
	// once.
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	device, err := a.engine.ResetPassword(r.Context(),
		watchword.Secret(body.Token), watchword.Secret(body.Password), a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	if body.Delivery != deliveryBody {
		a.cookies.setKnownDevice(w, r, device)
	}
	return respond.JSON(w, http.StatusOK, resetAnswer{
		"Password changed. All sessions have ended. Sign in with the new password.", string(device)})
}

// changePassword ends all other sessions of the account, because one of them may be an attacker's.
// The caller's own session continues, and its refresh token stays valid.
func (a *api) changePassword(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[changePasswordBody](r)
	if err != nil {
		return err
	}
	err = a.engine.ChangePassword(r.Context(), who,
		watchword.Secret(body.CurrentPassword), watchword.Secret(body.NewPassword), a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"Password changed. Your other sessions have ended."})
}
