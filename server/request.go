package server

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/strictjson"
)

const maxBody = 16 << 10

// clientOf is where a request comes from: the last that is seen of it.
func (s *Server) clientOf(w http.ResponseWriter, r *http.Request) watchword.Client {
	return watchword.Client{
		Address:   s.proxies.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For")),
		UserAgent: r.UserAgent(),
		RequestID: w.Header().Get(requestIDHeader),
	}
}

// decode reads the body of a request.
func decode[T any](r *http.Request) (body T, err error) {
	if err := checkContentType(r); err != nil {
		return body, err
	}
	err = strictjson.Decode(r.Body, maxBody, &body)
	var fault *strictjson.Error
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, strictjson.ErrTooLarge):
		return body, &watchword.Error{Code: watchword.CodeBodyTooLarge, Detail: "The body is larger than 16 KiB."}
	case errors.As(err, &fault) && fault.Field != "":
		return body, bodyInvalid("The member " + fault.Field + " " + fault.Reason + ".")
	case errors.As(err, &fault):
		return body, bodyInvalid(strings.ToUpper(fault.Reason[:1]) + fault.Reason[1:] + ".")
	}
	return body, bodyInvalid("The body could not be read to its end.")
}

// decodeIfAny is decode for requests that need no body, nor a content type. One
// in chunks is there if its first byte is.
func decodeIfAny[T any](r *http.Request) (body T, err error) {
	if r.ContentLength == 0 {
		return body, nil
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(r.Body, first); err == io.EOF {
		return body, nil
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first), r.Body))
	return decode[T](r)
}

func bodyInvalid(detail string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeBodyInvalid, Detail: detail}
}

// unacceptable refuses one member of a body.
func unacceptable(field, code, message string) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: message,
		Fields: []watchword.FieldError{{Field: field, Code: code, Message: message}}}
}

// checkContentType wants JSON in UTF-8, and nothing that was packed.
func checkContentType(r *http.Request) error {
	values := r.Header.Values("Content-Type")
	if len(values) == 1 && r.Header.Get("Content-Encoding") == "" {
		kind, params, err := mime.ParseMediaType(values[0])
		charset, named := params["charset"]
		if err == nil && kind == "application/json" && (!named || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &watchword.Error{Code: watchword.CodeContentType, Detail: "Send the body as Content-Type: application/json."}
}

// bearerToken returns the access token of a request (RFC 6750, section 2.1), and
// "" if there is none. Nowhere else is one looked for.
func bearerToken(r *http.Request) (watchword.Secret, error) {
	values := r.Header.Values("Authorization")
	if len(values) > 1 {
		return "", &watchword.Error{Code: watchword.CodeAmbiguousCredentials, Detail: "Send one Authorization header."}
	}
	if len(values) == 0 || values[0] == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token = strings.TrimSpace(token); token == "" {
		token = "-" // named, and not valid
	}
	return watchword.Secret(token), nil
}

// authenticate finds who asks: by a valid access token, on a live session, with
// all the roles.
func (s *Server) authenticate(r *http.Request, roles []string) (watchword.Identity, error) {
	token, err := bearerToken(r)
	if err != nil {
		return watchword.Identity{}, err
	}
	who, err := s.engine.Authenticate(r.Context(), token)
	if err != nil {
		return watchword.Identity{}, err
	}
	return who, who.RequireRoles(roles...)
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
