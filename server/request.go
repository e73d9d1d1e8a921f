package server

import (
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// clientOf is where a request comes from: the last that is seen of it.
func (s *Server) clientOf(w http.ResponseWriter, r *http.Request) watchword.Client {
	return watchword.Client{
		Address:   s.proxies.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For")),
		UserAgent: r.UserAgent(),
		Device:    s.devices.Name(r.UserAgent()),
		RequestID: w.Header().Get(requestIDHeader),

		DeviceToken: watchword.Secret(s.knownCookie().Value(r)),
	}
}

func bodyInvalid(detail string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeBodyInvalid, Detail: detail}
}

// unacceptable refuses one member of a body.
func unacceptable(field, code, message string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: message,
		Fields: []watchword.FieldError{{Field: field, Code: code, Message: message}}}
}

// authenticate finds who asks: by a valid access token, on a live session, with
// all the roles.
func (s *Server) authenticate(r *http.Request, roles []string) (watchword.Identity, error) {
	token, err := apirequest.BearerToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	who, err := s.engine.Authenticate(r.Context(), watchword.Secret(token))
	if err != nil {
		return watchword.Identity{}, err
	}
	return who, who.RequireRoles(roles...)
}

// presented lists what a request carries of a session: the bearer token, and the
// refresh cookie and the dialects' cookies. A cookie that is there twice counts as
// absent. Who asks is for the engine to find out.
func (s *Server) presented(r *http.Request) (tokens []watchword.Secret) {
	if bearer, err := apirequest.BearerToken(r); err == nil && bearer != "" {
		tokens = append(tokens, watchword.Secret(bearer))
	}
	cookies := []string{s.refreshCookie().Name}
	for _, d := range s.opts.Dialects {
		cookies = append(cookies, d.Cookies()...)
	}
	for _, name := range cookies {
		if token, err := apirequest.CookieToken(r, name); err == nil && token != "" {
			tokens = append(tokens, watchword.Secret(token))
		}
	}
	return tokens
}

// signedIn lets a request pass that is authenticated.
func (s *Server) signedIn(next func(http.ResponseWriter, *http.Request, watchword.Identity) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.authenticate(r, nil)
		if err != nil {
			return err
		}
		return next(w, r, who)
	}
}
