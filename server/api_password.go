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
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"body: no cookie is set. Default: cookie"`
}

type resetAnswer struct {
	Message     string `json:"message"`
	DeviceToken string `json:"deviceToken" doc:"Makes this device a known one, as the cookie does: send it with the next login. It grants no access"`
}

type changePasswordBody struct {
	CurrentPassword string `json:"currentPassword"`
	NewPassword     string `json:"newPassword"`
}

// mailOnItsWay is the one answer to whoever asks for a mail.
var mailOnItsWay = messageBody{"If there is an account with this address, a mail is on its way."}

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

func (a *api) resetPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[resetBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	device, err := a.engine.ResetPassword(r.Context(), watchword.Secret(body.Token), watchword.Secret(body.Password), a.clients.of(w, r))
	if err != nil {
		return err
	}
	if body.Delivery != deliveryBody {
		a.cookies.rememberDevice(w, r, device)
	}
	return respond.JSON(w, http.StatusOK, resetAnswer{"The password is changed. You were signed out everywhere: sign in with the new one.", string(device)})
}

func (a *api) changePassword(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[changePasswordBody](r)
	if err != nil {
		return err
	}
	err = a.engine.ChangePassword(r.Context(), who, watchword.Secret(body.CurrentPassword), watchword.Secret(body.NewPassword), a.clients.of(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The password is changed. Your other sessions have ended."})
}
