package users

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// The error messages of the tutorial.

type errorAnswer struct {
	Error    any    `json:"error"`
	Feedback string `json:"feedback,omitempty"`
}

type validationError struct {
	Message  string `json:"msg"`
	Path     string `json:"path"`
	Location string `json:"location"`
}

// writeError responds with {error, feedback}.
func (d *handlers) writeError(w http.ResponseWriter, r *http.Request, status int, why *watchword.Error) {
	if why.Code == watchword.CodeParameterInvalid && strings.HasPrefix(r.URL.Path, base+"/resetpass/") {
		why = &watchword.Error{Code: watchword.CodeMailTokenInvalid} // the mailed link was truncated or altered
	}
	switch why.Code {
	case watchword.CodeRefreshInvalid, watchword.CodeRefreshReused:
		// If a later sign-in has replaced the session, the cookie is not deleted. The browser may already have the
		// cookie of the new session.
		if used := d.cookie.Presented(r); len(used.Values(r)) > 0 && why.Ended != watchword.EndedReplaced {
			used.Clear(w)
		}
	case apirequest.CodeAmbiguousCredentials:
		d.cookie.ClearRepeated(w, r)
	}
	w.Header().Del("WWW-Authenticate")
	w.Header().Del("Allow")
	if challenge := challengeForCode(why.Code); challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	status, words := messageAndStatus(status, why)
	if err := respond.JSON(w, status, words); err != nil {
		panic(err) // can't happen: the body has only strings
	}
}

func messageAndStatus(status int, why *watchword.Error) (int, errorAnswer) {
	switch why.Code {
	case watchword.CodeValidationFailed:
		return status, validationAnswer(why.Fields)
	case watchword.CodeEmailTaken:
		return http.StatusUnprocessableEntity, validationAnswer(
			[]watchword.FieldError{{Field: "email", Message: "E-mail already in use"}},
		)
	case watchword.CodeInvalidCredentials:
		return http.StatusBadRequest, errorAnswer{"Wrong credentials!", "Email or password is wrong!"}
	case watchword.CodeMailTokenInvalid:
		return http.StatusBadRequest, errorAnswer{Error: "The reset link is invalid"}
	case watchword.CodeNotFound, apirequest.CodeMethodNotAllowed:
		return http.StatusNotFound, errorAnswer{Error: "Resource not found"}
	case watchword.CodeTokenExpired:
		return status, errorAnswer{"Authentication Error", "Token lifetime exceeded!"}
	}
	if status == http.StatusUnauthorized {
		return status, errorAnswer{"Authentication Error", "You are unauthenticated!"}
	}
	return status, errorAnswer{why.Detail, why.Detail}
}

// challengeForCode returns the WWW-Authenticate header (RFC 9110, section 11.6.1), or "". The front-end reads this
// header to decide whether to renew its access token.
func challengeForCode(code watchword.Code) string {
	realm, name, description := "apps", "invalid_access_token", ""
	switch code {
	case watchword.CodeTokenMissing:
		description = "unknown authentication scheme"
	case watchword.CodeTokenInvalid:
		description = "the access token is not valid"
	case watchword.CodeTokenExpired:
		name, description = "expired_access_token", "access token is expired"
	case watchword.CodeRefreshMissing:
		realm, name, description = "reauth", "no_rft", "Refresh Token is missing!"
	case watchword.CodeRefreshInvalid, watchword.CodeRefreshReused:
		realm, name, description = "reauth", "invalid_rft", "the refresh token is not valid"
	case watchword.CodeSessionEnded:
		description = "the session has ended"
	default:
		return ""
	}
	return fmt.Sprintf(`Bearer realm=%q, error=%q, error_description=%q`, realm, name, description)
}

// validationAnswer lists invalid members in the format of express-validator, without their values.
func validationAnswer(fields []watchword.FieldError) errorAnswer {
	list := make([]validationError, len(fields))
	for i, f := range fields {
		path := f.Field
		if path == "name" {
			path = "firstName" // the engine has one field for first and last name
		}
		list[i] = validationError{messageOf(f), path, "body"}
	}
	return errorAnswer{list, list[0].Message}
}

func messageOf(f watchword.FieldError) string {
	switch {
	case f.Code == watchword.FieldRequired:
		return strings.ToUpper(f.Field[:1]) + strings.ToLower(f.Field[1:]) + " CANNOT be empty"
	case f.Field == "email" && f.Code == watchword.FieldInvalid:
		return "Email is invalid"
	}
	return f.Message
}

// A member has the name and the value of one member of a request body.
type member struct{ name, value string }

// missingMembers returns an error for each empty member.
func missingMembers(members ...member) []watchword.FieldError {
	var list []watchword.FieldError
	for _, m := range members {
		if m.value == "" {
			list = append(list, watchword.FieldError{Field: m.name, Code: watchword.FieldRequired})
		}
	}
	return list
}

func unacceptable(fields ...watchword.FieldError) *watchword.Error {
	return &watchword.Error{Code: watchword.CodeValidationFailed, Detail: fields[0].Message, Fields: fields}
}
