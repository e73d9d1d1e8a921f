package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/device"
)

// A clientReader describes the client of a request for the engine: address, device, language and cookies.
//
// The engine gets only these values (watchword.Client) and never sees the request or its headers.
type clientReader struct {
	proxies clientip.Trusted
	devices *device.Namer
	cookies *cookieSet
}

// readClient uses X-Forwarded-For only if it comes from a trusted proxy. The request id comes from the response
// header that the middleware assignRequestID set.
func (c *clientReader) readClient(w http.ResponseWriter, r *http.Request) watchword.Client {
	return watchword.Client{
		Address:   c.proxies.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For")),
		UserAgent: r.UserAgent(),
		Device:    c.devices.Name(r.UserAgent()),
		RequestID: w.Header().Get(requestIDHeader),
		Languages: r.Header.Get("Accept-Language"),

		DeviceToken: watchword.Secret(c.cookies.knownDevice.Presented(r).Value(r)),
		Remembered:  watchword.Secret(c.cookies.rememberedDevice.Value(r)),
	}
}

// invalidBody is for a body that can't be read. A body with a wrong value gets another error (invalidField).
func invalidBody(detail string) *watchword.Error {
	return &watchword.Error{Code: apirequest.CodeBodyInvalid, Detail: detail}
}

// invalidField is for errors that the engine can't detect, such as a missing member of a request body. The code is a
// Field constant of the root package.
func invalidField(field, code, message string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: message,
		Fields: []watchword.FieldError{{Field: field, Code: code, Message: message}}}
}

// authenticate identifies the caller. It requires a valid access token in the Authorization header, a live session,
// and all the roles. Cookies don't count. Browsers attach cookies automatically, but only a script of the front-end
// can set the header. Routes that use authenticate therefore need no protection against CSRF.
func authenticate(engine *watchword.Engine, r *http.Request, roles []string) (watchword.Identity, error) {
	token, err := apirequest.BearerToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	who, err := engine.Authenticate(r.Context(), watchword.Secret(token))
	if err != nil {
		return watchword.Identity{}, err
	}
	return who, who.RequireRoles(roles...)
}

// An identityHandler handles a request whose caller was authenticated. It can't be registered without a check of the
// caller, because its type differs from handler.
type identityHandler func(http.ResponseWriter, *http.Request, watchword.Identity) error

// requireToken accepts only a valid access token (authenticate). Routes without requireToken are public.
func (a *api) requireToken(next identityHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := authenticate(a.engine, r, nil)
		if err != nil {
			return err
		}
		return next(w, r, who)
	}
}
