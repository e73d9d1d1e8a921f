// Package lesson implements the API of an introductory lesson on JWT with Express, so that
// front-ends written for it work unchanged (docs/dialects.md). The base path is /. Bodies
// contain the refresh token. The access token is a bearer token or the cookie jwt. Errors are
// plain text.
//
// The package keeps the paths, statuses and names of the lesson. The engine makes all
// decisions, so the faults of the lesson do not occur.
package lesson

import (
	"cmp"
	"mime"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// Options configure the dialect. Its cookies are Secure if the public URL of the engine is https.
type Options struct {
	CookieSameSite http.SameSite // attribute SameSite of the host-only cookie jwt. Default: Strict
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
	cookie := tokencookie.Pair{Usual: tokencookie.Cookie{Name: "jwt", Secure: secure, SameSite: sameSite}}
	d := &handlers{engine, cookie, tokencookie.KnownDevice(secure, sameSite)}
	return dialect.Dialect{
		Takes: isLessonRequest, Routes: d.routes(), Refuse: d.writeError,
		Operations: operations(), Cookies: cookie.Names(),
	}, cookie.Check()
}

// isLessonRequest reports whether a request is for one of the lesson's five paths. The paths /login and /logout are
// also pages of the server. For these two paths, it returns false for GET requests and forms.
func isLessonRequest(r *http.Request) bool {
	switch r.URL.Path {
	case "/register", "/token", "/profile":
		return true
	case "/login", "/logout":
		return r.Method == http.MethodOptions || r.Method == http.MethodPost && !isForm(r)
	}
	return false
}

func isForm(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"
}

func (d *handlers) routes() map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error {
	return map[string]func(http.ResponseWriter, *http.Request, watchword.Client) error{
		"POST /register": d.register,
		"POST /login":    d.login,
		"POST /token":    d.renew,
		"POST /logout":   d.logout,
		"GET /profile":   d.profile,
	}
}

func operations() []dialect.Operation {
	return []dialect.Operation{
		{
			Pattern: "POST /register",
			Summary: "Create an account and sign in",
			Body:    registerBody{},
			Status:  201,
			Answer:  signedInAnswer{},
			Refusal: "",
		},
		{Pattern: "POST /login", Summary: "Sign in", Body: loginBody{}, Status: 200, Answer: signedInAnswer{}, Refusal: ""},
		{
			Pattern: "POST /token",
			Summary: "Exchange the refresh token for a new one and an access token",
			Body:    tokenBody{},
			Status:  200,
			Answer:  renewedAnswer{},
			Refusal: "",
		},
		{Pattern: "POST /logout", Summary: "End this session", Bearer: true, Body: tokenBody{}, Status: 204, Refusal: ""},
		{
			Pattern: "GET /profile",
			Summary: "Read one's own account",
			Bearer:  true,
			Status:  200,
			Answer:  profileAnswer{},
			Refusal: "",
		},
	}
}

type registerBody struct {
	Username string `json:"username"`
	Email    string `json:"email"`
	Password string `json:"password"`
}

type loginBody struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type signedInAnswer struct {
	Token        string `json:"token"` // the same access token under another name
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

type renewedAnswer struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

type userBody struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
}

type profileAnswer struct {
	User userBody `json:"user"`
}

type tokenBody struct {
	Token string `json:"token"`
}

// signIn responds with both tokens. The cookie contains the access token, but expires later than the token, because a
// user can sign out with an expired access token.
func (d *handlers) signIn(w http.ResponseWriter, r *http.Request, status int, in *watchword.SignIn) error {
	d.cookie.SignIn(w, r, string(in.AccessToken), in.RefreshLife)
	d.knownDevice.Renew(w, r, string(in.DeviceToken), tokencookie.KnownDeviceLife)
	access := string(in.AccessToken)
	return respond.JSON(w, status, signedInAnswer{access, access, string(in.RefreshToken)})
}

func (d *handlers) register(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[registerBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Name: body.Username,
		Persistent: true, Client: c,
	})
	if err != nil {
		return err
	}
	if in == nil {
		respond.Write(w, http.StatusAccepted, "text/plain", []byte("Look into your mailbox: a mail tells you how to go on."))
		return nil
	}
	return d.signIn(w, r, http.StatusCreated, in)
}

func (d *handlers) login(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[loginBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.Login(r.Context(), watchword.LoginRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Persistent: true, Client: c,
	})
	if err != nil {
		return err
	}
	return d.signIn(w, r, http.StatusOK, in)
}

func (d *handlers) renew(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.LenientBody[tokenBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.Refresh(r.Context(), watchword.Secret(body.Token), c)
	if watchword.CodeOf(err) == watchword.CodeSessionEnded {
		err = &watchword.Error{Code: watchword.CodeRefreshInvalid, Detail: "This session has ended. Sign in again."}
	}
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, renewedAnswer{string(in.AccessToken), string(in.RefreshToken)})
}

// logout ends the session of each credential in the request. It ignores missing or unreadable credentials: the
// lesson's client deletes its refresh token before it sends the request, so the body has no token.
func (d *handlers) logout(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, _ := apirequest.LenientBody[tokenBody](r)
	bearer, _ := apirequest.BearerToken(r)
	for _, access := range append(d.cookie.Values(r), bearer) {
		if err := d.engine.Logout(r.Context(), watchword.Secret(body.Token), watchword.Secret(access), c); err != nil {
			return err
		}
	}
	d.cookie.Clear(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// profile identifies the user by the bearer token. The cookie is only the fallback, because the browser adds the
// cookie to every request.
func (d *handlers) profile(w http.ResponseWriter, r *http.Request, _ watchword.Client) error {
	access, err := apirequest.BearerToken(r)
	if err == nil && access == "" {
		access, err = apirequest.CookieToken(r, d.cookie.Presented(r).Name)
	}
	if err != nil {
		return err
	}
	who, err := d.engine.Authenticate(r.Context(), watchword.Secret(access))
	if err != nil {
		return err
	}
	return respond.JSON(
		w,
		http.StatusOK,
		profileAnswer{userBody{string(who.User.ID), who.User.Name, string(who.User.Email)}},
	)
}

// writeError responds with plain text.
func (d *handlers) writeError(w http.ResponseWriter, r *http.Request, status int, why *watchword.Error) {
	if why.Code == apirequest.CodeAmbiguousCredentials {
		d.cookie.ClearRepeated(w, r)
	}
	status, text := messageAndStatus(status, why)
	if status != http.StatusUnauthorized {
		w.Header().Del("WWW-Authenticate")
	}
	respond.Write(w, status, "text/plain", []byte(text))
}

func messageAndStatus(status int, why *watchword.Error) (int, string) {
	switch why.Code {
	case watchword.CodeEmailTaken:
		return http.StatusBadRequest, "User already exists"
	case watchword.CodeRefreshInvalid, watchword.CodeRefreshReused:
		return http.StatusForbidden, why.Detail
	}
	return status, why.Detail
}
