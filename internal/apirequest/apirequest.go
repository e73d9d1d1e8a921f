// Package apirequest reads the body and the credentials of API requests. It rejects
// requests that different parsers could interpret differently.
//
// It handles HTTP and JSON and does not know the meaning of a request.
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

// MaxBody is the maximum size of a body in bytes.
const MaxBody = 16 << 10

// Error codes of requests that are rejected before the engine is called. The root package has all other codes
// (errors.go).
const (
	CodeBodyInvalid          = "BODY_INVALID"
	CodeBodyTooLarge         = "BODY_TOO_LARGE"
	CodeContentType          = "CONTENT_TYPE_UNSUPPORTED"
	CodeMethodNotAllowed     = "METHOD_NOT_ALLOWED"
	CodeCrossOrigin          = "CROSS_ORIGIN"
	CodeMisdirected          = "MISDIRECTED_REQUEST"
	CodeAmbiguousCredentials = "AMBIGUOUS_CREDENTIALS"
)

// An Error is the reason why a request was rejected. It never contains data from the request.
type Error struct {
	Code   string // CodeBodyInvalid, CodeBodyTooLarge, CodeContentType or CodeAmbiguousCredentials
	Detail string // one plain sentence
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Body decodes a JSON object into T and rejects unknown members. Errors are *Error.
func Body[T any](r *http.Request) (T, error) { return decode[T](r, strictjson.Decode) }

// OptionalBody is like Body, but accepts requests without a body and returns the zero T
// for them. A chunked request has a body if it contains at least one byte.
func OptionalBody[T any](r *http.Request) (body T, err error) {
	if !hasBody(r) {
		return body, nil
	}
	return Body[T](r)
}

// PatchBody is like Body, but allows null inside the members of the body, because such a member can be a JSON merge
// patch.
func PatchBody[T any](r *http.Request) (body T, err error) {
	return decode[T](r, strictjson.DecodePatch)
}

// LenientBody is like OptionalBody, but ignores unknown members and nulls. It serves
// clients that were written for other servers.
func LenientBody[T any](r *http.Request) (body T, err error) {
	if !hasBody(r) {
		return body, nil
	}
	return decode[T](r, strictjson.DecodeLenient)
}

func hasBody(r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength > 0
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(r.Body, first); err == io.EOF {
		return false
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first), r.Body))
	return true
}

func decode[T any](r *http.Request, read func(io.Reader, int64, any) error) (body T, err error) {
	if !declaresJSON(r) {
		return body, &Error{CodeContentType, "Send the body as Content-Type: application/json."}
	}
	err = read(r.Body, MaxBody, &body)
	var fault *strictjson.Error
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, strictjson.ErrTooLarge):
		return body, &Error{CodeBodyTooLarge, "The body is larger than 16 KiB."}
	case errors.As(err, &fault) && fault.Field != "":
		return body, &Error{CodeBodyInvalid, "The member " + fault.Field + " " + fault.Reason + "."}
	case errors.As(err, &fault):
		return body, &Error{CodeBodyInvalid, strings.ToUpper(fault.Reason[:1]) + fault.Reason[1:] + "."}
	}
	return body, &Error{CodeBodyInvalid, "The body could not be read completely."}
}

// declaresJSON reports whether the request declares its body as JSON in UTF-8, without a content encoding. A PATCH
// may also declare a JSON merge patch (RFC 7396), because a PATCH changes only the members in its body.
func declaresJSON(r *http.Request) bool {
	values := r.Header.Values("Content-Type")
	if len(values) != 1 || r.Header.Get("Content-Encoding") != "" {
		return false
	}
	if values[0] == "application/json" { // fast path: most clients send exactly this value
		return true
	}
	kind, params, err := mime.ParseMediaType(values[0])
	charset, named := params["charset"]
	isPatch := r.Method == http.MethodPatch && kind == "application/merge-patch+json"
	return err == nil && (kind == "application/json" || isPatch) && (!named || strings.EqualFold(charset, "utf-8"))
}

// CookieToken returns the value of the cookie called name, or "" without one. It
// rejects two cookies of that name, because another host of the domain may have set
// one of them. Errors are *Error.
func CookieToken(r *http.Request, name string) (string, error) {
	switch cookies := r.CookiesNamed(name); len(cookies) {
	case 0:
		return "", nil
	case 1:
		return cookies[0].Value, nil
	}
	return "", &Error{CodeAmbiguousCredentials, "The request has two session cookies. They were cleared. Sign in again."}
}

// BearerToken returns the access token in the Authorization header (RFC 6750, section 2.1), or ""
// without one. It never reads the form, the query or cookies. Errors are *Error.
func BearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) > 1 {
		return "", &Error{CodeAmbiguousCredentials, "Send one Authorization header."}
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token = strings.TrimSpace(token); token == "" {
		token = "-" // an empty token must count as an invalid one, not as absent
	}
	return token, nil
}
