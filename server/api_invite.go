package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// An inviteBody has the token in the body, like a tokenBody. The name is optional, because
// the operator may have set one.
type inviteBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password"`
	Name     string `json:"name,omitempty" doc:"At most 200 characters. Default: the name that the operator chose"`
	Remember *bool  `json:"remember,omitempty" doc:"As in a login. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where to return the refresh token. Default: cookie"`
}

// acceptInvite sets the password of an invited account and signs in. It checks the body's member delivery before it
// consumes the token, as verifyEmail does.
func (a *api) acceptInvite(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[inviteBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	in, err := a.engine.AcceptInvite(r.Context(), watchword.MailLinkRequest{
		Token: watchword.Secret(body.Token), Password: watchword.Secret(body.Password), Name: body.Name,
		Persistent: body.Remember == nil || *body.Remember, Client: a.clients.readClient(w, r),
		Replaces: a.cookies.tokenToReplace(r, body.Delivery),
	})
	if err != nil {
		return a.deliverChallenge(w, r, err, body.Delivery)
	}
	return a.respondSignIn(w, r, http.StatusOK, in, body.Delivery)
}
