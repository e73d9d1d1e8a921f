package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes verify and change the email address. A mailed link alone completes no step: the request also needs a
// live session or the password of the account. The exception is an undo, which must work for a user who has lost the
// account.

// A tokenBody has the token in the body and never in the query. URLs end up in logs, histories
// and Referer headers.
type tokenBody struct {
	Token string `json:"token" doc:"From the link in the mail"`
}

// verifyBody needs a password unless the request has a live session of the account. A link
// alone must not sign in, because mail scanners and forwarded mails also open it.
type verifyBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password,omitempty" doc:"The sign-up's. Not needed with a live session of the account"`
	Remember *bool  `json:"remember,omitempty" doc:"As in a login. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where to return the refresh token. Default: cookie"`
}

// A confirmBody needs a password or a live session for the same reason as a verifyBody: a click
// alone must not change an address.
type confirmBody struct {
	Token    string `json:"token" doc:"From the link in the mail"`
	Password string `json:"password,omitempty" doc:"The account's. Not needed with a live session of the account"`
}

// verifiedAnswer describes the two possible responses: a message, or a sign-in. The type
// is used only for the documentation.
type verifiedAnswer struct {
	Message      string             `json:"message,omitempty" doc:"With a live session: the only member"`
	User         *watchword.Profile `json:"user,omitempty" doc:"With a password: this and the following members"`
	AccessToken  string             `json:"accessToken,omitempty" doc:"JWT (RFC 9068)"`
	TokenType    string             `json:"tokenType,omitempty" enum:"Bearer"`
	ExpiresIn    int64              `json:"expiresIn,omitempty" doc:"Seconds"`
	RefreshToken string             `json:"refreshToken,omitempty" doc:"Only with delivery: body"`
	DeviceToken  string             `json:"deviceToken,omitempty" doc:"Only with delivery: body. As in a login"`
}

// A changeEmailBody needs the password. With a stolen access token alone, a thief could otherwise
// take the account over through the new address.
type changeEmailBody struct {
	NewEmail string `json:"newEmail" format:"email"`
	Password string `json:"password"`
}

// resendVerification responds in the same way whether or not the account exists. The response time does not reveal
// the account either, because the mail is sent in the background.
func (a *api) resendVerification(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[emailBody](r)
	if err != nil {
		return err
	}
	if err := a.engine.ResendVerification(r.Context(), body.Email, a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, mailRequestedAnswer)
}

// changeEmail sends a link to the new address. The account keeps the old address until confirmEmail, so a mistyped
// address does no harm.
func (a *api) changeEmail(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[changeEmailBody](r)
	if err != nil {
		return err
	}
	err = a.engine.ChangeEmail(
		r.Context(), who, body.NewEmail, watchword.Secret(body.Password), a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, messageBody{
		"We emailed a link to the new address. Your address changes when you confirm it there."})
}

// verifyEmail confirms the address of an account. If the body has a password, verifyEmail also signs in. It checks
// the body's member delivery first, because the engine consumes the token. A client with an invalid delivery can thus
// correct the delivery and use the same token.
func (a *api) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[verifyBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	in, err := a.engine.VerifyEmail(r.Context(), watchword.MailLinkRequest{
		Token: watchword.Secret(body.Token), Presented: a.cookies.presentedTokens(r),
		Password: watchword.Secret(body.Password), Persistent: body.Remember == nil || *body.Remember,
		Client: a.clients.readClient(w, r), Replaces: a.cookies.tokenToReplace(r, body.Delivery),
	})
	if err != nil {
		return a.deliverChallenge(w, r, err, body.Delivery)
	}
	// The engine opens no session if the request already had a session of the account. The client keeps the tokens of
	// that session.
	if in == nil {
		return respond.JSON(w, http.StatusOK, messageBody{"Your address is confirmed."})
	}
	return a.respondSignIn(w, r, http.StatusOK, in, body.Delivery)
}

// confirmEmail completes changeEmail with the token from the new mailbox. The response omits the end of the undo
// period, because the mail to the previous address states it.
func (a *api) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[confirmBody](r)
	if err != nil {
		return err
	}
	_, err = a.engine.ConfirmEmail(r.Context(), watchword.MailLinkRequest{
		Token: watchword.Secret(body.Token), Presented: a.cookies.presentedTokens(r),
		Password: watchword.Secret(body.Password), Client: a.clients.readClient(w, r),
	})
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"Address changed. Use the new address to sign in."})
}

// undoEmail restores the previous address with the token from the old mailbox. It needs no
// session: the owner may have lost the account to an attacker. An undo also ends all sessions,
// because the attacker may hold one of them.
func (a *api) undoEmail(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[tokenBody](r)
	if err != nil {
		return err
	}
	if err := a.engine.UndoEmail(r.Context(), watchword.Secret(body.Token), a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{
		"Your previous address is restored, and all sessions have ended. We emailed a link to choose a new password."})
}
