package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/device"
)

// clientReader describes the client of a request for the engine: address, device, language and cookies.
//
// The engine gets only these values (watchword.Client) and never sees the request or its headers.
type clientReader struct {
	proxies clientip.Trusted
	devices *device.Namer
	cookies *cookieSet
}

// readClient returns the client of a request. X-Forwarded-For is used only if it comes from a trusted proxy. The
// request id comes from the response header that the middleware assignRequestID set.
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

// invalidBody returns the error for a body that can't be read. A body with a wrong value gets another error
// (unacceptable).
func invalidBody(detail string) *watchword.Error {
	return &watchword.Error{Code: apirequest.CodeBodyInvalid, Detail: detail}
}

// invalidField returns the error for an invalid member of a request body. Its code is a Field constant
// of the root package. Handlers use it for errors that the engine can't detect, such as a missing member.
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

// requireToken calls next if the request has a valid access token (authenticate). Routes without requireToken are public.
func (a *api) requireToken(next identityHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := authenticate(a.engine, r, nil)
		if err != nil {
			return err
		}
		return next(w, r, who)
	}
}
