package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

type registerBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password" doc:"8 to 256 characters, not a common one, not one's own address or name"`
	Name     string `json:"name,omitempty" doc:"At most 200 characters"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where the refresh token is to go. Default: cookie"`
}

type loginBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password"`
	Remember *bool  `json:"remember,omitempty" doc:"false: the session ends with the browser, and sooner if unused. Default: true"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where the refresh token is to go. Default: cookie"`

	DeviceToken string `json:"deviceToken,omitempty" doc:"Of an earlier sign-in or reset: a known device has its own limit of failed passwords"`
}

type refreshBody struct {
	RefreshToken string `json:"refreshToken,omitempty" doc:"For clients that were given it in a body"`
}

type logoutAllBody struct {
	KeepCurrent bool `json:"keepCurrent,omitempty" doc:"Spare this session"`
}

type signedInBody struct {
	User         userBody `json:"user"`
	AccessToken  string   `json:"accessToken" doc:"JWT (RFC 9068)"`
	TokenType    string   `json:"tokenType" enum:"Bearer"`
	ExpiresIn    int64    `json:"expiresIn" doc:"Seconds until the access token expires: at most until the session does"`
	RefreshToken string   `json:"refreshToken,omitempty" doc:"Only with delivery: body"`
	DeviceToken  string   `json:"deviceToken,omitempty" doc:"Only with delivery: body, after a sign-in. Send it with the next login. It grants no access"`
}

type logoutAllAnswer struct {
	Message string `json:"message"`
	Ended   int    `json:"ended" doc:"How many sessions ended"`
}

type sessionsAnswer struct {
	Sessions []sessionBody `json:"sessions" nullable:"false"`
}

type sessionBody struct {
	ID         string    `json:"id" format:"uuid"`
	Device     string    `json:"device" doc:"A name from the user agent at sign-in"`
	Address    string    `json:"address" doc:"Where it was used last"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	ExpiresAt  time.Time `json:"expiresAt" doc:"If it is not used before"`
	Current    bool      `json:"current" doc:"The session that asks"`
}

// signIn answers with tokens, the refresh token by cookie or in the body.
func (a *api) signIn(w http.ResponseWriter, r *http.Request, status int, in *watchword.SignIn, inBody string) error {
	body := signedInBody{
		User:        userOf(in.User),
		AccessToken: string(in.AccessToken),
		TokenType:   "Bearer",
		ExpiresIn:   int64(in.ExpiresIn / time.Second),
	}
	if inBody == deliveryBody {
		body.RefreshToken, body.DeviceToken = string(in.RefreshToken), string(in.DeviceToken)
	} else {
		a.cookies.setRefresh(w, in)
		a.cookies.rememberDevice(w, r, in.DeviceToken)
		if r.URL.Path != pathRefresh && len(a.cookies.page.Values(r)) > 0 {
			a.cookies.page.Clear(w) // pages go by the newest sign-in
		}
	}
	return respond.JSON(w, status, body)
}

func checkDelivery(delivery string) error {
	if delivery == "" || delivery == "cookie" || delivery == deliveryBody {
		return nil
	}
	return unacceptable("delivery", watchword.FieldInvalid, `Write "cookie" or "body".`)
}

func (a *api) register(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[registerBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	in, err := a.engine.SignUp(r.Context(), watchword.SignUpRequest{
		Email: body.Email, Password: watchword.Secret(body.Password), Name: body.Name, Client: a.clients.of(w, r),
		Replaces: a.cookies.replaced(r, body.Delivery),
	})
	if err != nil {
		return err
	}
	if in == nil {
		return respond.JSON(w, http.StatusAccepted, messageBody{"Look into your mailbox: a mail tells you how to go on."})
	}
	return a.signIn(w, r, http.StatusCreated, in, body.Delivery)
}

func (a *api) login(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[loginBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	client := a.clients.of(w, r)
	if body.DeviceToken != "" {
		client.DeviceToken = watchword.Secret(body.DeviceToken)
	}
	in, err := a.engine.Login(r.Context(), watchword.LoginRequest{
		Email: body.Email, Password: watchword.Secret(body.Password),
		Persistent: body.Remember == nil || *body.Remember, Client: client,
		Replaces: a.cookies.replaced(r, body.Delivery),
	})
	if err != nil {
		return err
	}
	return a.signIn(w, r, http.StatusOK, in, body.Delivery)
}

func (a *api) refresh(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[refreshBody](r)
	if err != nil {
		return err
	}
	token, byCookie, err := a.cookies.refreshToken(r, body.RefreshToken)
	if err != nil {
		return err
	}
	in, err := a.engine.Refresh(r.Context(), token, a.clients.of(w, r))
	if err != nil {
		return err
	}
	if byCookie {
		return a.signIn(w, r, http.StatusOK, in, "")
	}
	return a.signIn(w, r, http.StatusOK, in, deliveryBody)
}

func (a *api) logout(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[refreshBody](r)
	if err != nil {
		return err
	}
	token, _, err := a.cookies.refreshToken(r, body.RefreshToken)
	if err != nil {
		return err
	}
	access, err := apirequest.BearerToken(r)
	if err != nil {
		return err
	}
	if err := a.engine.Logout(r.Context(), token, watchword.Secret(access), a.clients.of(w, r)); err != nil {
		return err
	}
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, messageBody{"You are signed out."})
}

func (a *api) logoutAll(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.OptionalBody[logoutAllBody](r)
	if err != nil {
		return err
	}
	var except watchword.SessionID
	if body.KeepCurrent {
		except = who.Session.ID
	}
	ended, err := a.engine.LogoutAll(r.Context(), who, except, a.clients.of(w, r))
	if err != nil {
		return err
	}
	if body.KeepCurrent {
		return respond.JSON(w, http.StatusOK, logoutAllAnswer{"Your other sessions have ended.", ended})
	}
	a.cookies.refresh.Clear(w)
	return respond.JSON(w, http.StatusOK, logoutAllAnswer{"All your sessions have ended.", ended})
}

func (a *api) sessions(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	sessions, err := a.engine.Sessions(r.Context(), who)
	if err != nil {
		return err
	}
	answer := sessionsAnswer{Sessions: []sessionBody{}}
	for _, one := range sessions {
		answer.Sessions = append(answer.Sessions, sessionBody{
			ID: string(one.ID), Device: one.Device, Address: one.Address,
			CreatedAt: one.CreatedAt, LastUsedAt: one.RotatedAt, ExpiresAt: a.engine.SessionExpires(one),
			Current: one.ID == who.Session.ID,
		})
	}
	return respond.JSON(w, http.StatusOK, answer)
}

func (a *api) endSession(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	id := watchword.SessionID(r.PathValue("id"))
	if err := a.engine.EndSession(r.Context(), who, id, a.clients.of(w, r)); err != nil {
		return err
	}
	if id == who.Session.ID {
		a.cookies.refresh.Clear(w)
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The session has ended."})
}
