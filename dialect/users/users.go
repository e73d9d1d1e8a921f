// Package users implements the API of a widely read tutorial on authentication with Express,
// MongoDB and React, so that front-ends written for it work unchanged (docs/dialects.md). The
// base path is /api/users, and the refresh token is in the cookie refreshTkn. Responses are
// {success, …}, and errors are {error, feedback?}.
//
// The package keeps the paths, statuses, names and messages of the tutorial. The engine makes
// all decisions, so the faults of the tutorial do not occur.
package users

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

const base = "/api/users"

// Options configure the dialect. Its cookies are Secure if the public URL of the engine is https.
type Options struct {
	CookieSameSite http.SameSite // of the refresh cookie. Default: Strict
	CookieDomain   string        // Default: this host only
}

type handlers struct {
	engine      *watchword.Engine
	cookie      tokencookie.Pair
	knownDevice tokencookie.Pair
}

// New returns the dialect. It fails if browsers would reject its cookies.
func New(engine *watchword.Engine, o Options) (dialect.Dialect, error) {
	secure := strings.HasPrefix(engine.PublicURL(), "https:")
	sameSite := cmp.Or(o.CookieSameSite, http.SameSiteStrictMode)
	cookie := tokencookie.Pair{Usual: tokencookie.Cookie{
		Name: "refreshTkn", Domain: o.CookieDomain, Secure: secure, SameSite: sameSite}}
	d := &handlers{engine, cookie, tokencookie.KnownDevice(secure, sameSite)}
	return dialect.Dialect{
		Takes: isUsersRequest, Routes: d.routes(), Refuse: d.writeError,
		Operations: operations(), Cookies: cookie.Names(),
		RequestHeaders: []string{"X-Reset-Base"}, // has the URL of the reset page, see forgotpass
	}, cookie.Check()
}

// isUsersRequest reports whether a request is for a path below /api/users.
func isUsersRequest(r *http.Request) bool {
	return r.URL.Path == base || strings.HasPrefix(r.URL.Path, base+"/")
}

func (d *handlers) routes() map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error {
	return map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error{
		"POST " + base + "/login":              d.login,
		"POST " + base + "/signup":             d.signup,
		"POST " + base + "/logout":             d.logout,
		"POST " + base + "/master-logout":      d.masterLogout,
		"POST " + base + "/reauth":             d.reauth,
		"POST " + base + "/forgotpass":         d.forgotpass,
		"PATCH " + base + "/resetpass/{token}": d.resetpass,
		"GET " + base + "/me":                  d.me,
		"GET " + base + "/{id}":                d.user,
	}
}

// operations is long because it is one table.
func operations() []dialect.Operation {
	refused := errorAnswer{}
	return []dialect.Operation{
		{
			Pattern: "POST " + base + "/login",
			Summary: "Sign in",
			Body:    loginBody{},
			Status:  200,
			Answer:  signedInAnswer{},
			Refusal: refused,
		},
		{
			Pattern: "POST " + base + "/signup",
			Summary: "Create an account and sign in",
			Body:    signupBody{},
			Status:  201,
			Answer:  signedInAnswer{},
			Refusal: refused,
		},
		{Pattern: "POST " + base + "/logout", Summary: "End this session", Bearer: true, Status: 205, Refusal: refused},
		{
			Pattern: "POST " + base + "/master-logout",
			Summary: "End all sessions",
			Bearer:  true,
			Status:  205,
			Refusal: refused,
		},
		{
			Pattern: "POST " + base + "/reauth",
			Summary: "Exchange the cookie for the next one and an access token",
			Status:  201,
			Answer:  renewedAnswer{},
			Refusal: refused,
		},
		{
			Pattern: "POST " + base + "/forgotpass",
			Summary: "Have a mail sent to choose a new password",
			Body:    forgotBody{},
			Status:  200,
			Answer:  messageAnswer{},
			Refusal: refused,
		},
		{
			Pattern: "PATCH " + base + "/resetpass/{token}",
			Summary: "Choose a new password",
			Body:    resetBody{},
			Status:  200,
			Answer:  messageAnswer{},
			Refusal: refused,
		},
		{
			Pattern: "GET " + base + "/me",
			Summary: "Read one's own account",
			Bearer:  true,
			Status:  200,
			Answer:  userAnswer{},
			Refusal: refused,
		},
		{
			Pattern: "GET " + base + "/{id}",
			Summary: "Read an account: one's own, or with the role admin any",
			Bearer:  true,
			Status:  200,
			Answer:  userAnswer{},
			Refusal: refused,
		},
	}
}

type loginBody struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type signupBody struct {
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Email     string `json:"email"`
	Password  string `json:"password"`
}

type forgotBody struct {
	Email string `json:"email"`
}

type resetBody struct {
	Password        string `json:"password"`
	PasswordConfirm string `json:"passwordConfirm"`
}

type userBody struct {
	ID        string `json:"id"`
	MongoID   string `json:"_id"` // the same id, under the name from MongoDB that the front-ends use
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Email     string `json:"email"`
}

type userAnswer struct {
	Success bool     `json:"success"`
	User    userBody `json:"user"`
}

type signedInAnswer struct {
	Success     bool     `json:"success"`
	User        userBody `json:"user"`
	AccessToken string   `json:"accessToken"`
}

type renewedAnswer struct {
	Success     bool   `json:"success"`
	AccessToken string `json:"accessToken"`
}

type messageAnswer struct {
	Message  string `json:"message"`
	Feedback string `json:"feedback,omitempty"`
	Success  bool   `json:"success"`
}

// verifyFirstAnswer is the response to a sign-up whose address must be verified first. It has the form of an error,
// because the front-ends show the member feedback only if the response is an error.
type verifyFirstAnswer struct {
	Success  bool   `json:"success"`
	Error    string `json:"error"`
	Feedback string `json:"feedback"`
}

func userOf(u watchword.User) userBody {
	first, last := SplitName(u.Name)
	return userBody{string(u.ID), string(u.ID), first, last, string(u.Email)}
}

func (d *handlers) signIn(w http.ResponseWriter, r *http.Request, status int, in *watchword.SignIn) error {
	d.cookie.SignIn(w, r, string(in.RefreshToken), in.RefreshLife)
	d.knownDevice.Renew(w, r, string(in.DeviceToken), tokencookie.KnownDeviceLife)
	return respond.JSON(w, status, signedInAnswer{true, userOf(in.User), string(in.AccessToken)})
}

func (d *handlers) login(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[loginBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.Login(r.Context(), watchword.LoginRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Persistent: true, Client: c,
		Replaces: watchword.Secret(d.cookie.Presented(r).Value(r)),
	})
	if err != nil {
		return err
	}
	return d.signIn(w, r, http.StatusOK, in)
}

func (d *handlers) signup(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[signupBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email:      strings.TrimSpace(body.Email),
		Password:   watchword.Secret(body.Password),
		Name:       JoinName(body.FirstName, body.LastName),
		Persistent: true,
		Client:     c,
		Replaces:   watchword.Secret(d.cookie.Presented(r).Value(r)),
		// The engine has only one name field, so a missing first or last name is found here. The engine adds these
		// problems to its own, so that a form shows all problems at once.
		Problems: missingMembers(member{"firstName", strings.TrimSpace(body.FirstName)},
			member{"lastName", strings.TrimSpace(body.LastName)}),
	})
	if err != nil {
		return err
	}
	if in == nil {
		return respond.JSON(w, http.StatusForbidden, verifyFirstAnswer{
			Error: "Confirm your e-mail address", Feedback: "Check your inbox and open the link, then log in."})
	}
	return d.signIn(w, r, http.StatusCreated, in)
}

func (d *handlers) refreshByCookie(r *http.Request, c watchword.Client) (*watchword.SignIn, error) {
	token, err := apirequest.CookieToken(r, d.cookie.Presented(r).Name)
	if err != nil {
		return nil, err
	}
	in, err := d.engine.Refresh(r.Context(), watchword.Secret(token), c)
	var refusal *watchword.Error
	if errors.As(err, &refusal) && refusal.Code == watchword.CodeSessionEnded {
		err = &watchword.Error{
			Code:   watchword.CodeRefreshInvalid,
			Detail: "This session has ended. Sign in again.",
			Ended:  refusal.Ended,
		}
	}
	return in, err
}

// reauth exchanges the refresh cookie. It ignores the access token, because the front-end
// sends an expired one.
func (d *handlers) reauth(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	in, err := d.refreshByCookie(r, c)
	if err != nil {
		return err
	}
	d.cookie.Rotate(w, r, string(in.RefreshToken), in.RefreshLife)
	return respond.JSON(w, http.StatusCreated, renewedAnswer{true, string(in.AccessToken)})
}

// logout ends the sessions of the access token and of the cookies. It rejects a request without these credentials with
// 401. One version of the tutorial's client sends such a request, because it passes its options, with the credentials,
// in the place of the body. After the 401, this client renews its access token and sends a complete request.
func (d *handlers) logout(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	access, err := apirequest.BearerToken(r)
	if err != nil {
		return err
	}
	tokens := d.cookie.Values(r)
	if strings.Join(tokens, "") == "" {
		switch _, err := d.bearer(r); watchword.CodeOf(err) {
		case watchword.CodeTokenMissing, watchword.CodeTokenInvalid:
			return err
		}
		tokens = []string{""}
	}
	for _, token := range tokens {
		if err := d.engine.Logout(r.Context(), watchword.Secret(token), watchword.Secret(access), c); err != nil {
			return err
		}
	}
	return d.respondLoggedOut(w)
}

func (d *handlers) masterLogout(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	who, err := d.identifyCaller(r, c)
	if err != nil {
		return err
	}
	if _, err := d.engine.LogoutAll(r.Context(), who, "", c); err != nil {
		return err
	}
	// The request can have a second refresh cookie, of another user. The session of that cookie must end too, because
	// respondLoggedOut deletes both cookies.
	for _, token := range d.cookie.Unused(r) {
		if err := d.engine.Logout(r.Context(), watchword.Secret(token), "", c); err != nil {
			return err
		}
	}
	return d.respondLoggedOut(w)
}

func (d *handlers) respondLoggedOut(w http.ResponseWriter) error {
	d.cookie.Clear(w)
	w.WriteHeader(http.StatusResetContent)
	return nil
}

// identifyCaller uses the access token, falling back to the refresh cookie.
func (d *handlers) identifyCaller(r *http.Request, c watchword.Client) (watchword.Identity, error) {
	who, err := d.bearer(r)
	switch watchword.CodeOf(err) {
	case watchword.CodeTokenMissing, watchword.CodeTokenInvalid, watchword.CodeTokenExpired, watchword.CodeSessionEnded:
		if !d.cookie.IsIn(r) {
			return who, err
		}
	default:
		return who, err
	}
	in, err := d.refreshByCookie(r, c)
	if err != nil {
		return watchword.Identity{}, err
	}
	return watchword.Identity{User: in.User, Session: in.Session}, nil
}

func (d *handlers) bearer(r *http.Request) (watchword.Identity, error) {
	token, err := apirequest.BearerToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	return d.engine.Authenticate(r.Context(), watchword.Secret(token))
}

// forgotpass requests a mail with a link to a page of the front-end: the URL in the header X-reset-base, or otherwise
// /resetpass on the front-end's origin. The engine decides whether a mail may link to that page.
func (d *handlers) forgotpass(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[forgotBody](r)
	if err != nil {
		return err
	}
	page := r.Header.Get("X-Reset-Base")
	if origin := r.Header.Get("Origin"); page == "" && origin != "" {
		page = origin + "/resetpass"
	}
	if err := d.engine.ForgotPassword(r.Context(), body.Email, page, c); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageAnswer{"Reset link sent",
		"If there is an account with this address, a mail with instructions is on its way.", true})
}

func (d *handlers) resetpass(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[resetBody](r)
	if err != nil {
		return err
	}
	if err := d.checkResetPasswords(body); err != nil {
		return err
	}
	device, err := d.engine.ResetPassword(
		r.Context(),
		watchword.Secret(r.PathValue("token")),
		watchword.Secret(body.Password),
		c,
	)
	if err != nil {
		return err
	}
	d.knownDevice.Renew(w, r, string(device), tokencookie.KnownDeviceLife)
	return respond.JSON(w, http.StatusOK, messageAnswer{Message: "Password reset successful", Success: true})
}

// checkResetPasswords refuses a reset if its two passwords differ. The refusal then also reports a weak password. The
// engine would report a weak password only in a later attempt, after it has checked the token of the mailed link.
func (d *handlers) checkResetPasswords(body resetBody) error {
	err := d.engine.CheckPassword(watchword.Secret(body.Password))
	if body.Password == body.PasswordConfirm {
		if body.Password == "" {
			return err
		}
		return nil // the engine checks the token first, and then the password
	}
	var faults []watchword.FieldError
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		faults = append(faults, refusal.Fields...)
	}
	return unacceptable(append(faults, watchword.FieldError{
		Field: "passwordConfirm", Code: watchword.FieldInvalid, Message: "Passwords DO NOT match"})...)
}

func (d *handlers) me(w http.ResponseWriter, r *http.Request, _ watchword.Client) error {
	who, err := d.bearer(r)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{true, userOf(who.User)})
}

func (d *handlers) user(w http.ResponseWriter, r *http.Request, _ watchword.Client) error {
	who, err := d.bearer(r)
	if err != nil {
		return err
	}
	user, err := d.engine.Profile(r.Context(), who, watchword.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{true, userOf(user)})
}
