// Package users speaks the API of a widely read tutorial on authentication with
// Express, MongoDB and React, so that front-ends written for it run unchanged
// (docs/dialects.md). Base path /api/users, refresh token in the cookie refreshTkn,
// answers {success, …}, errors {error, feedback?}.
//
// It keeps the tutorial's paths, statuses, names and messages, and none of its
// faults: every rule is the engine's.
package users

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apidoc"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

const (
	base   = "/api/users"
	reauth = base + "/reauth"
)

// Options configure a Dialect. The zero value will do on plain http.
type Options struct {
	Secure         bool          // clients reach the server by https
	CookieSameSite http.SameSite // of the refresh cookie. Default: Strict
	CookieDomain   string        // Default: none, this host only
}

// A Dialect is a server.Dialect. Make one with New.
type Dialect struct {
	engine *watchword.Engine
	cookie tokencookie.Cookie
}

// New makes the dialect. It fails on a cookie that browsers would not keep.
func New(engine *watchword.Engine, o Options) (*Dialect, error) {
	cookie := tokencookie.Cookie{Name: "refreshTkn", Domain: o.CookieDomain, Secure: o.Secure,
		SameSite: cmp.Or(o.CookieSameSite, http.SameSiteStrictMode)}
	return &Dialect{engine, cookie}, cookie.Check()
}

// Takes reports whether a request is for a path below /api/users.
func (d *Dialect) Takes(r *http.Request) bool {
	return r.URL.Path == base || strings.HasPrefix(r.URL.Path, base+"/")
}

// Cookies are the one with the refresh token.
func (d *Dialect) Cookies() []string { return []string{d.cookie.Name} }

type handler = func(http.ResponseWriter, *http.Request, watchword.Client) error

// A route is one line of the table.
type route struct {
	method, path string
	handle       handler
	bearer       bool
	summary      string
	body         any
	status       int
	answer       any
}

func (d *Dialect) table() []route {
	return []route{
		{"POST", base + "/login", d.login, false, "Sign in", loginBody{}, 200, signedInAnswer{}},
		{"POST", base + "/signup", d.signup, false, "Make an account and sign in", signupBody{}, 201, signedInAnswer{}},
		{"POST", base + "/logout", d.logout, true, "End this session", nil, 205, nil},
		{"POST", base + "/master-logout", d.masterLogout, true, "End all sessions", nil, 205, nil},
		{"POST", reauth, d.reauth, false, "Exchange the cookie for the next one and an access token", nil, 201, renewedAnswer{}},
		{"POST", base + "/forgotpass", d.forgotpass, false, "Have a mail sent to choose a new password", forgotBody{}, 200, messageAnswer{}},
		{"PATCH", base + "/resetpass/{token}", d.resetpass, false, "Choose a new password", resetBody{}, 200, messageAnswer{}},
		{"GET", base + "/me", d.me, true, "Read one's own account", nil, 200, userAnswer{}},
		{"GET", base + "/{id}", d.user, true, "Read an account: one's own, or with the role admin any", nil, 200, userAnswer{}},
	}
}

// Routes are those of the tutorial.
func (d *Dialect) Routes() map[string]handler {
	routes := map[string]handler{}
	for _, r := range d.table() {
		routes[r.method+" "+r.path] = r.handle
	}
	return routes
}

// Operations are the same, for the OpenAPI document.
func (d *Dialect) Operations() (all []apidoc.Operation) {
	for _, r := range d.table() {
		all = append(all, apidoc.Operation{Method: r.method, Path: r.path, Summary: r.summary, Bearer: r.bearer,
			Body: r.body, Status: r.status, Answer: r.answer, Refusal: errorAnswer{}})
	}
	return all
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

func userOf(u watchword.User) userBody {
	first, last := SplitName(u.Name)
	return userBody{string(u.ID), first, last, string(u.Email)}
}

func (d *Dialect) signIn(w http.ResponseWriter, status int, in *watchword.SignIn) error {
	d.cookie.Set(w, string(in.RefreshToken), in.RefreshLife())
	return respond.JSON(w, status, signedInAnswer{true, userOf(in.User), string(in.AccessToken)})
}

func (d *Dialect) login(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.KnownBody[loginBody](r)
	if err != nil {
		return err
	}
	in, err := d.engine.Login(r.Context(), watchword.LoginRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Persistent: true, Client: c,
	})
	if err != nil {
		return err
	}
	return d.signIn(w, http.StatusOK, in)
}

func (d *Dialect) signup(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.KnownBody[signupBody](r)
	if err != nil {
		return err
	}
	if err := required("firstName", body.FirstName, "lastName", body.LastName, "email", body.Email, "password", body.Password); err != nil {
		return err
	}
	in, err := d.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Name: JoinName(body.FirstName, body.LastName), Client: c,
	})
	if err != nil {
		return err
	}
	if in == nil {
		return respond.JSON(w, http.StatusAccepted, messageAnswer{
			Message: "Confirmation sent", Feedback: "Look into your mailbox: a mail tells you how to go on.", Success: true})
	}
	return d.signIn(w, http.StatusCreated, in)
}

// refreshToken is the one in the cookie, and "" if there is none.
func (d *Dialect) refreshToken(r *http.Request) (watchword.Secret, error) {
	tokens := d.cookie.Values(r)
	if len(tokens) > 1 {
		return "", &watchword.Error{Code: watchword.CodeAmbiguousCredentials,
			Detail: "There are two session cookies. They were cleared: sign in again."}
	}
	return watchword.Secret(strings.Join(tokens, "")), nil
}

// reauth exchanges the cookie. An access token that comes along is not looked at:
// the front-end sends the one that has expired.
func (d *Dialect) reauth(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	token, err := d.refreshToken(r)
	if err != nil {
		return err
	}
	in, err := d.engine.Refresh(r.Context(), token, c)
	if err != nil {
		return err
	}
	d.cookie.Set(w, string(in.RefreshToken), in.RefreshLife())
	return respond.JSON(w, http.StatusCreated, renewedAnswer{true, string(in.AccessToken)})
}

// logout ends the session of whatever still names one. The body is not read: the
// tutorial's client sends its own options there.
func (d *Dialect) logout(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	token, err := d.refreshToken(r)
	if err != nil {
		return err
	}
	access, err := apirequest.BearerToken(r)
	if err != nil {
		return err
	}
	if err := d.engine.Logout(r.Context(), token, watchword.Secret(access), c); err != nil {
		return err
	}
	d.cookie.Clear(w)
	w.WriteHeader(http.StatusResetContent)
	return nil
}

func (d *Dialect) masterLogout(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	who, err := d.holder(r, c)
	if err != nil {
		return err
	}
	if _, err := d.engine.LogoutAll(r.Context(), who, "", c); err != nil {
		return err
	}
	d.cookie.Clear(w)
	w.WriteHeader(http.StatusResetContent)
	return nil
}

// holder is who sends an access token or, where that is of no use any more, the
// refresh cookie.
func (d *Dialect) holder(r *http.Request, c watchword.Client) (watchword.Identity, error) {
	who, refused := d.bearer(r)
	if refused == nil || watchword.CodeOf(refused) == watchword.CodeInternal {
		return who, refused
	}
	token, err := d.refreshToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	if token == "" {
		return watchword.Identity{}, refused
	}
	in, err := d.engine.Refresh(r.Context(), token, c)
	if err != nil {
		return watchword.Identity{}, err
	}
	return watchword.Identity{User: in.User, Session: in.Session}, nil
}

func (d *Dialect) bearer(r *http.Request) (watchword.Identity, error) {
	token, err := apirequest.BearerToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	return d.engine.Authenticate(r.Context(), watchword.Secret(token))
}

// forgotpass has a link mailed to the front-end's own page: the one it names in
// X-reset-base, else /resetpass on its origin. Which of them a mail may lead to is
// the engine's to say.
func (d *Dialect) forgotpass(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.KnownBody[forgotBody](r)
	if err != nil {
		return err
	}
	page := r.Header.Get("X-Reset-Base")
	if origin := r.Header.Get("Origin"); page == "" && origin != "" {
		page = origin + "/resetpass"
	}
	if err := d.engine.ForgotPasswordAt(r.Context(), body.Email, page, c); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageAnswer{"Reset link sent",
		"If there is an account with this address, a mail with instructions is on its way.", true})
}

func (d *Dialect) resetpass(w http.ResponseWriter, r *http.Request, c watchword.Client) error {
	body, err := apirequest.KnownBody[resetBody](r)
	if err != nil {
		return err
	}
	if err := required("password", body.Password); err != nil {
		return err
	}
	if body.Password != body.PasswordConfirm {
		return unacceptable(watchword.FieldError{Field: "passwordConfirm", Code: watchword.FieldInvalid, Message: "Passwords DO NOT match"})
	}
	err = d.engine.ResetPassword(r.Context(), watchword.Secret(r.PathValue("token")), watchword.Secret(body.Password), c)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageAnswer{Message: "Password reset successful", Success: true})
}

func (d *Dialect) me(w http.ResponseWriter, r *http.Request, _ watchword.Client) error {
	who, err := d.bearer(r)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, userAnswer{true, userOf(who.User)})
}

func (d *Dialect) user(w http.ResponseWriter, r *http.Request, _ watchword.Client) error {
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
