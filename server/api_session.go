package server

import (
	"cmp"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes sign up, sign in, refresh, sign out, and list sessions. The rules are in the engine (signup.go,
// login.go, refresh.go, logout.go). These handlers decide only how tokens are sent. A browser gets the refresh token
// in a cookie that scripts can't read. Other clients request it in the body (delivery). The access token is always in
// the body.

// A registerBody has the fields of a sign-up. Unknown members are an error in every body, so that a misspelt name is
// not ignored. confirmPassword and rememberMe are accepted, because forms from tutorials send them.
type registerBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password" doc:"8 to 256 characters; not common; not the address or the name"`
	Name     string `json:"name,omitempty" doc:"At most 200 characters"`
	Remember *bool  `json:"remember,omitempty" doc:"As in a login. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where to return the refresh token. Default: cookie"`

	ConfirmPassword *string `json:"confirmPassword,omitempty" doc:"If sent, it must equal the password"`
	RememberMe      *bool   `json:"rememberMe,omitempty" doc:"Another name of remember. Send one of them"`
}

// A loginBody has a pointer for remember, because its default is true. A plain bool can't tell a
// missing member from false.
type loginBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password"`
	Remember *bool  `json:"remember,omitempty" doc:"false: a shorter session that ends with the browser. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where to return the refresh token. Default: cookie"`

	// A login with a known device has a separate limit of failed passwords, so an attack from elsewhere does not lock
	// the owner out.
	DeviceToken string `json:"deviceToken,omitempty" doc:"From an earlier sign-in or reset"`

	ConfirmPassword *string `json:"confirmPassword,omitempty" doc:"If sent, it must equal the password"`
	RememberMe      *bool   `json:"rememberMe,omitempty" doc:"Another name of remember. Send one of them"`
}

// A refreshBody is optional, because browsers send the token in the cookie.
type refreshBody struct {
	RefreshToken string `json:"refreshToken,omitempty" doc:"For clients that received it in a body"`
}

// A logoutAllBody is optional. Without it, the caller's session ends too.
type logoutAllBody struct {
	KeepCurrent bool `json:"keepCurrent,omitempty" doc:"Do not end this session"`
}

// signedInBody is the response to each request that issues tokens.
type signedInBody struct {
	User         watchword.Profile `json:"user"`
	AccessToken  string            `json:"accessToken" doc:"JWT (RFC 9068)"`
	TokenType    string            `json:"tokenType" enum:"Bearer"`
	ExpiresIn    int64             `json:"expiresIn" doc:"Seconds until the access token expires"`
	RefreshToken string            `json:"refreshToken,omitempty" doc:"Only with delivery: body"`
	DeviceToken  string            `json:"deviceToken,omitempty" doc:"Only with delivery: body. Send it with the next login"`
}

// A logoutAllAnswer has the number of ended sessions, so that a front-end can say that this
// was the only session.
type logoutAllAnswer struct {
	Message string `json:"message"`
	Ended   int    `json:"ended" doc:"Number of sessions that ended"`
}

// A sessionsAnswer has no cursor. The setting max-sessions bounds the number of sessions.
type sessionsAnswer struct {
	Sessions []sessionBody `json:"sessions" nullable:"false"`
}

// A sessionBody describes a session to its user, so that the user can end sessions of unknown devices. It has no
// token, and the id alone grants no access.
type sessionBody struct {
	ID         string    `json:"id" format:"uuid"`
	Device     string    `json:"device" doc:"A name from the user agent at sign-in"`
	Address    string    `json:"address" doc:"IP address of the last use"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt" doc:"Unless it is used before"`
	Current    bool      `json:"current" doc:"Whether this request belongs to the session"`
}

// respondSignIn sends the refresh token in the cookie, or in the body if delivery is "body". With a cookie, the
// sign-in also replaces the session of the pages.
//
// If delivery is "body", respondSignIn sets no cookie. Otherwise a native client that shares a cookie jar with a web
// view would sign the web view in.
func (a *api) respondSignIn(
	w http.ResponseWriter, r *http.Request, status int, in *watchword.SignIn, delivery string,
) error {
	return respond.JSON(w, status, a.deliverTokens(w, r, in, delivery))
}

// deliverTokens sets the cookies of a sign-in, or puts the refresh token into the returned body if delivery is
// "body".
func (a *api) deliverTokens(
	w http.ResponseWriter, r *http.Request, in *watchword.SignIn, delivery string,
) signedInBody {
	body := signedInBody{
		User:        in.User.Profile(),
		AccessToken: string(in.AccessToken),
		TokenType:   "Bearer",
		ExpiresIn:   int64(in.ExpiresIn / time.Second),
	}
	switch {
	case delivery == deliveryBody:
		body.RefreshToken, body.DeviceToken = string(in.RefreshToken), string(in.DeviceToken)
	// A refresh keeps the other cookies, because they belong to the same session.
	case r.URL.Path == pathRefresh:
		a.cookies.setRotatedToken(w, r, in)
	default:
		a.cookies.setSessionCookies(w, r, in)
		if len(a.cookies.pageToken.Values(r)) > 0 {
			a.cookies.pageToken.Clear(w) // the page cookie belongs to the previous session
		}
	}
	return body
}

// checkDelivery rejects unknown values, because a misspelt delivery would put the token
// where the client does not look for it.
func checkDelivery(delivery string) error {
	if delivery == "" || delivery == "cookie" || delivery == deliveryBody {
		return nil
	}
	return invalidField("delivery", watchword.FieldInvalid, `Use "cookie" or "body".`)
}

// checkRepeatedPassword returns an error if the repeated password differs. A request may omit it.
func checkRepeatedPassword(password string, repeated *string) error {
	if repeated == nil || *repeated == password {
		return nil
	}
	return invalidField("confirmPassword", watchword.FieldInvalid, "The passwords are not the same.")
}

// parseRemember returns true if both members are missing. It rejects a request with both members, because their
// values could contradict each other.
func parseRemember(remember, rememberMe *bool) (bool, error) {
	if remember != nil && rememberMe != nil {
		const detail = "Send remember or rememberMe, not both."
		return false, &apirequest.Error{Code: apirequest.CodeBodyInvalid, Detail: detail}
	}
	choice := cmp.Or(remember, rememberMe)
	return choice == nil || *choice, nil
}

// register creates an account and signs in. With signup=verified it does not sign in: it responds with 202, in the
// same way for new and existing addresses. The response time does not differ either, because the engine hashes the
// password in both cases.
func (a *api) register(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[registerBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	if err := checkRepeatedPassword(body.Password, body.ConfirmPassword); err != nil {
		return err
	}
	persistent, err := parseRemember(body.Remember, body.RememberMe)
	if err != nil {
		return err
	}
	in, err := a.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Name: body.Name,
		Persistent: persistent, Client: a.clients.readClient(w, r),
		Replaces: a.cookies.tokenToReplace(r, body.Delivery),
	})
	if err != nil {
		return err
	}
	if in == nil {
		return respond.JSON(w, http.StatusAccepted, messageBody{"Check your inbox. We emailed you the next step."})
	}
	return a.respondSignIn(w, r, http.StatusCreated, in, body.Delivery)
}

// login accepts a device token in the body, for clients without cookies. For unknown addresses and wrong passwords,
// the engine returns the same error and takes the same time. The handler must not distinguish them either.
func (a *api) login(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[loginBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	if err := checkRepeatedPassword(body.Password, body.ConfirmPassword); err != nil {
		return err
	}
	persistent, err := parseRemember(body.Remember, body.RememberMe)
	if err != nil {
		return err
	}
	// A token in the body takes precedence over the cookie, because the client sent it on
	// purpose.
	client := a.clients.readClient(w, r)
	if body.DeviceToken != "" {
		client.DeviceToken = watchword.Secret(body.DeviceToken)
	}
	in, err := a.engine.Login(r.Context(), watchword.LoginRequest{
		Email: body.Email, Password: watchword.Secret(body.Password),
		Persistent: persistent, Client: client,
		Replaces: a.cookies.tokenToReplace(r, body.Delivery),
	})
	if err != nil {
		return a.deliverChallenge(w, r, err, body.Delivery)
	}
	return a.respondSignIn(w, r, http.StatusOK, in, body.Delivery)
}

// refresh returns the new refresh token in the same place as the old token, cookie or body. A client that repeats a
// refresh after a lost response gets the same successor (docs/rotation.md). The client need not mark the request as a
// retry.
//
// With ?optional=true, a request without a token gets 204. A page can thus check whether a visitor is signed in,
// without the error that browsers print for a 401.
func (a *api) refresh(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[refreshBody](r)
	if err != nil {
		return err
	}
	token, byCookie, err := a.cookies.readRefreshToken(r, body.RefreshToken)
	if err != nil {
		return err
	}
	if token == "" && r.URL.Query().Get("optional") == "true" {
		if byCookie {
			a.cookies.refresh.Presented(r).Clear(w)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	in, err := a.engine.Refresh(r.Context(), token, a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	if byCookie {
		return a.respondSignIn(w, r, http.StatusOK, in, "")
	}
	return a.respondSignIn(w, r, http.StatusOK, in, deliveryBody)
}

// logout succeeds even if the tokens are invalid or missing, and clears the cookies. A user who signs out must not
// get an error, because the client could not resolve it.
func (a *api) logout(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[refreshBody](r)
	if err != nil {
		return err
	}
	token, _, err := a.cookies.readRefreshToken(r, body.RefreshToken)
	if err != nil {
		return err
	}
	access, err := apirequest.BearerToken(r)
	if err != nil {
		return err
	}
	client := a.clients.readClient(w, r)
	if err := a.engine.Logout(r.Context(), token, watchword.Secret(access), client); err != nil {
		return err
	}
	if err := a.cookies.endUnusedSession(a.engine, r, client); err != nil {
		return err
	}
	// The cookie is cleared last. If the store fails, the client still has the token and can sign out again.
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, messageBody{"You are signed out."})
}

// logoutAll ends all sessions of the account. With keepCurrent, the caller's session and cookies are kept. Other
// devices are signed out at their next request, because each request checks that its session is live.
func (a *api) logoutAll(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.OptionalBody[logoutAllBody](r)
	if err != nil {
		return err
	}
	var except watchword.SessionID
	if body.KeepCurrent {
		except = who.Session.ID
	}
	client := a.clients.readClient(w, r)
	ended, err := a.engine.LogoutAll(r.Context(), who, except, client)
	if err != nil {
		return err
	}
	if body.KeepCurrent {
		return respond.JSON(w, http.StatusOK, logoutAllAnswer{"Your other sessions have ended.", ended})
	}
	if err := a.cookies.endUnusedSession(a.engine, r, client); err != nil {
		return err
	}
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, logoutAllAnswer{"All your sessions have ended.", ended})
}

func (a *api) listSessions(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	sessions, err := a.engine.Sessions(r.Context(), who)
	if err != nil {
		return err
	}
	// An empty list must be [] in JSON and not null, so that clients can iterate over it.
	answer := sessionsAnswer{Sessions: []sessionBody{}}
	for _, one := range sessions {
		answer.Sessions = append(answer.Sessions, sessionBody{
			ID: string(one.ID), Device: one.Device, Address: one.Address,
			CreatedAt: one.CreatedAt, LastUsedAt: one.LastUsed(), ExpiresAt: a.engine.SessionExpires(one),
			Current: one.ID == who.Session.ID,
		})
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// endSession ends one session of the caller. For a session of another user, it responds with
// 404.
func (a *api) endSession(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	id := watchword.SessionID(r.PathValue("id"))
	if err := a.engine.EndSession(r.Context(), who, id, a.clients.readClient(w, r)); err != nil {
		return err
	}
	if id == who.Session.ID {
		a.cookies.refresh.Presented(r).Clear(w)
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The session has ended."})
}
