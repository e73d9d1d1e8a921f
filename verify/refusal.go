package verify

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A refusal is an error response of the middleware. Its format and its codes are those of the server's error
// responses.
type refusal struct {
	status int
	code   string
	detail string // tells the client what to do

	// challenge contains the parameters after the realm in WWW-Authenticate (RFC 6750, section 3). It is empty if the
	// request had no token.
	challenge string
}

func tokenMissing() *refusal {
	return &refusal{http.StatusUnauthorized, "TOKEN_MISSING",
		"Sign in, and send the access token as Authorization: Bearer.", ""}
}

func ambiguousCredentials() *refusal {
	return &refusal{http.StatusBadRequest, "AMBIGUOUS_CREDENTIALS",
		"Send one Authorization header.", `error="invalid_request"`}
}

func insufficientRole() *refusal {
	return &refusal{http.StatusForbidden, "INSUFFICIENT_SCOPE",
		"You don't have the role that this needs.", `error="insufficient_scope"`}
}

// stepUpRefusal asks the user to authenticate again, or with a stronger method (RFC 9470, section 3). Its argument is
// the last parameter of the challenge, such as max_age.
func stepUpRefusal(parameter string) *refusal {
	return &refusal{http.StatusUnauthorized, "INSUFFICIENT_USER_AUTHENTICATION", "Confirm that it is you, and try again.",
		`error="insufficient_user_authentication", ` + parameter}
}

func refusalForError(err error) *refusal {
	const invalid = `error="invalid_token"`
	switch {
	case errors.Is(err, ErrExpired):
		return &refusal{http.StatusUnauthorized, "TOKEN_EXPIRED", "The access token has expired. Refresh it.", invalid}
	case errors.Is(err, ErrRevoked):
		return &refusal{http.StatusUnauthorized, "SESSION_ENDED", "This session has ended. Sign in again.", invalid}
	case errors.Is(err, ErrUnavailable):
		return &refusal{http.StatusServiceUnavailable, "TRY_LATER",
			"Access tokens can't be verified right now. Try again shortly; you are still signed in.", ""}
	}
	return &refusal{http.StatusUnauthorized, "TOKEN_INVALID",
		"This is not a valid access token. Refresh it, or sign in.", invalid}
}

// problemBody has the members of RFC 9457, and the server's extension members.
type problemBody struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Error     string `json:"error"`
	RequestID string `json:"requestId,omitempty"`
}

// If an outer middleware has set X-Request-Id on the response, sendRefusal repeats the id in the body.
func (v *Verifier) sendRefusal(w http.ResponseWriter, r *refusal) {
	h := w.Header()
	if r.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	} else {
		challenge := `Bearer realm="` + v.opts.Realm + `"`
		if r.challenge != "" {
			challenge += ", " + r.challenge
		}
		h.Set("WWW-Authenticate", challenge)
	}
	body, err := json.Marshal(problemBody{
		Type: "about:blank", Title: http.StatusText(r.status), Status: r.status,
		Detail: r.detail, Error: r.detail, Code: r.code, RequestID: h.Get("X-Request-Id"),
	})
	if err != nil {
		panic(err) // unreachable: strings and a number always encode
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/problem+json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(r.status)
	_, _ = w.Write(body) // fails only if the client has disconnected
}

// dropUnquotable removes the characters that a quoted header parameter can't contain.
func dropUnquotable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text)
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
