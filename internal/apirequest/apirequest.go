// Package apirequest reads what a request to an API carries: the body and the
// bearer token, each in one way or not at all.
//
// It knows HTTP and JSON, not what a request asks for.
package apirequest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword/internal/strictjson"
)

// MaxBody is how many bytes a body may have.
const MaxBody = 16 << 10

// An Error says why a request can't be read: never with a word of what was sent.
type Error struct {
	Code   string // one of those of errors.go, in the root package
	Detail string // one plain sentence
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Body reads a JSON object with members of T, and with no others. Errors: *Error.
func Body[T any](r *http.Request) (T, error) { return decode[T](r, strictjson.Decode) }

// BodyIfAny is Body for requests that need none, nor a content type. One in chunks
// is there if its first byte is.
func BodyIfAny[T any](r *http.Request) (body T, err error) {
	if !hasBody(r) {
		return body, nil
	}
	return Body[T](r)
}

// KnownBody is Body for clients that were written for another server: members
// that T does not have, and nulls, are passed over, and no body is an empty one.
func KnownBody[T any](r *http.Request) (body T, err error) {
	if !hasBody(r) {
		return body, nil
	}
	return decode[T](r, strictjson.DecodeKnown)
}

func hasBody(r *http.Request) bool {
	if r.ContentLength == 0 {
		return false
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(r.Body, first); err == io.EOF {
		return false
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first), r.Body))
	return true
}

func decode[T any](r *http.Request, read func(io.Reader, int64, any) error) (body T, err error) {
	if !isJSON(r) {
		return body, &Error{"CONTENT_TYPE_UNSUPPORTED", "Send the body as Content-Type: application/json."}
	}
	err = read(r.Body, MaxBody, &body)
	var fault *strictjson.Error
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, strictjson.ErrTooLarge):
		return body, &Error{"BODY_TOO_LARGE", "The body is larger than 16 KiB."}
	case errors.As(err, &fault) && fault.Field != "":
		return body, &Error{"BODY_INVALID", "The member " + fault.Field + " " + fault.Reason + "."}
	case errors.As(err, &fault):
		return body, &Error{"BODY_INVALID", strings.ToUpper(fault.Reason[:1]) + fault.Reason[1:] + "."}
	}
	return body, &Error{"BODY_INVALID", "The body could not be read to its end."}
}

// isJSON wants JSON in UTF-8, and nothing that was packed.
func isJSON(r *http.Request) bool {
	values := r.Header.Values("Content-Type")
	if len(values) != 1 || r.Header.Get("Content-Encoding") != "" {
		return false
	}
	kind, params, err := mime.ParseMediaType(values[0])
	charset, named := params["charset"]
	return err == nil && kind == "application/json" && (!named || strings.EqualFold(charset, "utf-8"))
}

// CookieToken is the token in the cookie of a name, and "" if there is none. Two of
// one name may have come from two hosts: neither is taken. Errors: *Error.
func CookieToken(r *http.Request, name string) (string, error) {
	switch cookies := r.CookiesNamed(name); len(cookies) {
	case 0:
		return "", nil
	case 1:
		return cookies[0].Value, nil
	}
	return "", &Error{"AMBIGUOUS_CREDENTIALS", "There are two session cookies. They were cleared: sign in again."}
}

// BearerToken returns the access token of a request (RFC 6750, section 2.1), and
// "" if there is none. Nowhere else is one looked for: not in the form, not in
// the query, not in a cookie. Errors: *Error.
func BearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) > 1 {
		return "", &Error{"AMBIGUOUS_CREDENTIALS", "Send one Authorization header."}
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token = strings.TrimSpace(token); token == "" {
		token = "-" // named, and not valid
	}
	return token, nil
}
