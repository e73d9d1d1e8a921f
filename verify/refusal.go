package verify

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A refusal is an answer of the middleware: of the same shape as those of the
// server, with the same codes.
type refusal struct {
	status int
	code   string
	detail string // one plain sentence that says what to do next

	// challenge is what follows the realm in WWW-Authenticate (RFC 6750, section
	// 3); nothing where no token was sent.
	challenge string
}

func tokenMissing() *refusal {
	return &refusal{http.StatusUnauthorized, "TOKEN_MISSING", "Sign in, and send the access token as Authorization: Bearer.", ""}
}

func ambiguous() *refusal {
	return &refusal{http.StatusBadRequest, "AMBIGUOUS_CREDENTIALS", "Send one Authorization header.", `error="invalid_request"`}
}

func insufficientRole() *refusal {
	return &refusal{http.StatusForbidden, "INSUFFICIENT_SCOPE", "This needs a role that you don't have.", `error="insufficient_scope"`}
}

// stepUp asks for a better or newer proof of who the user is (RFC 9470, section 3).
func stepUp(wanted string) *refusal {
	return &refusal{http.StatusUnauthorized, "INSUFFICIENT_USER_AUTHENTICATION", "Confirm that it is you, and try again.",
		`error="insufficient_user_authentication", ` + wanted}
}

// refusalOf is the answer to an error of Verify.
func refusalOf(err error) *refusal {
	const invalid = `error="invalid_token"`
	switch {
	case errors.Is(err, ErrExpired):
		return &refusal{http.StatusUnauthorized, "TOKEN_EXPIRED", "The access token has expired. Refresh it.", invalid}
	case errors.Is(err, ErrRevoked):
		return &refusal{http.StatusUnauthorized, "SESSION_ENDED", "This session has ended. Sign in again.", invalid}
	case errors.Is(err, ErrUnavailable):
		return &refusal{http.StatusServiceUnavailable, "TRY_LATER",
			"Access tokens can't be verified at this moment. Try again shortly; you are still signed in.", ""}
	}
	return &refusal{http.StatusUnauthorized, "TOKEN_INVALID", "This is not a valid access token. Refresh it, or sign in.", invalid}
}

// problem is an error answer (RFC 9457), with the extension members of the server.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	Error     string `json:"error"`
	RequestID string `json:"requestId,omitempty"`
}

// refuse answers with a refusal. The request id is the one that a middleware
// before this one has put on the answer, if any.
func (v *Verifier) refuse(w http.ResponseWriter, r *refusal) {
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
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(r.status), Status: r.status,
		Detail: r.detail, Error: r.detail, Code: r.code, RequestID: h.Get("X-Request-Id"),
	})
	if err != nil {
		panic(err) // strings and a number
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/problem+json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(r.status)
	_, _ = w.Write(body) // nobody to tell
}

// plain leaves out of a header what would end its quotes.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text)
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
