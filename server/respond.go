package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// statusOf is the HTTP status of every refusal.
func statusOf(code watchword.Code) int {
	switch code {
	case watchword.CodeBodyInvalid, watchword.CodeAmbiguousCredentials, watchword.CodeParameterInvalid,
		watchword.CodeMailTokenInvalid:
		return http.StatusBadRequest
	case watchword.CodeInvalidCredentials, watchword.CodeTokenMissing, watchword.CodeTokenExpired, watchword.CodeTokenInvalid,
		watchword.CodeRefreshMissing, watchword.CodeRefreshInvalid, watchword.CodeRefreshReused, watchword.CodeSessionEnded:
		return http.StatusUnauthorized
	case watchword.CodeEmailNotVerified, watchword.CodeAccountDisabled, watchword.CodePasswordWrong, watchword.CodePasswordRequired,
		watchword.CodeInsufficientScope, watchword.CodeSignupClosed, watchword.CodeCrossOrigin:
		return http.StatusForbidden
	case watchword.CodeNotFound:
		return http.StatusNotFound
	case watchword.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case watchword.CodeEmailTaken:
		return http.StatusConflict
	case watchword.CodeBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case watchword.CodeContentType:
		return http.StatusUnsupportedMediaType
	case watchword.CodeMisdirected:
		return http.StatusMisdirectedRequest
	case watchword.CodeValidationFailed:
		return http.StatusUnprocessableEntity
	case watchword.CodeRateLimited:
		return http.StatusTooManyRequests
	case watchword.CodeTryLater:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// A problem is an error answer (RFC 9457), with our extension members.
type problem struct {
	Type      string                 `json:"type" doc:"Always about:blank: program against code."`
	Title     string                 `json:"title" doc:"The text of the status."`
	Status    int                    `json:"status"`
	Detail    string                 `json:"detail" doc:"One sentence for people."`
	Code      watchword.Code         `json:"code" doc:"Stable: what to program against."`
	Error     string                 `json:"error" doc:"The same as detail."`
	RequestID string                 `json:"requestId" doc:"Stands in the log of the server, too."`
	Errors    []watchword.FieldError `json:"errors,omitempty" nullable:"false" doc:"With VALIDATION_FAILED: which members are unacceptable."`
}

// fail answers with a refusal. Whatever is none is logged under the request id,
// and not shown.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *watchword.Error
	var unread *apirequest.Error
	switch {
	case errors.As(err, &refusal):
		s.logRefusal(w, r, refusal)
	case errors.As(err, &unread):
		refusal = &watchword.Error{Code: watchword.Code(unread.Code), Detail: unread.Detail}
		s.logRefusal(w, r, refusal)
	case errors.Is(err, watchword.ErrUnavailable):
		s.logUnavailable(w, r, err)
		refusal = &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: 2 * time.Second,
			Detail: "The service is not available at this moment. Try again shortly; you are still signed in."}
	case r.Context().Err() != nil:
		// Most likely nobody listens any more. Who does must not take it for done.
		refusal = &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: time.Second,
			Detail: "The request was broken off. Try again; you are still signed in."}
	default:
		s.log.Error("a request failed", slog.String("request_id", w.Header().Get(requestIDHeader)), slog.Any("error", err))
		refusal = &watchword.Error{Code: watchword.CodeInternal,
			Detail: "Something went wrong here. Try again; if it stays, tell us the request id."}
	}
	s.failHeaders(w, r, refusal)
	if d := s.dialectOf(r); d != nil {
		d.Refuse(w, r, statusOf(refusal.Code), refusal)
		return
	}
	if wantsPage(r) && s.failPage(w, r, refusal) == nil {
		return
	}
	status := statusOf(refusal.Code)
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: refusal.Detail, Error: refusal.Detail, Code: refusal.Code,
		RequestID: w.Header().Get(requestIDHeader), Errors: refusal.Fields,
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	respond.Write(w, status, "application/problem+json", body)
}

// failHeaders sets what a refusal says in headers: when to come back, how to
// authenticate (RFC 6750, section 3), and that a cookie is of no more use.
func (s *Server) failHeaders(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) {
	h, status := w.Header(), statusOf(refusal.Code)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		seconds := (refusal.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(max(int64(seconds), 1), 10))
	}
	challenge := `Bearer realm="` + s.public.Host + `"`
	switch refusal.Code {
	case watchword.CodeTokenExpired, watchword.CodeTokenInvalid:
		challenge += `, error="invalid_token"`
	case watchword.CodeSessionEnded:
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"`
		}
	case watchword.CodeInsufficientScope:
		challenge += `, error="insufficient_scope"`
	}
	if status == http.StatusUnauthorized || refusal.Code == watchword.CodeInsufficientScope {
		h.Set("WWW-Authenticate", challenge)
	}
	switch refusal.Code {
	case watchword.CodeRefreshInvalid, watchword.CodeSessionEnded, watchword.CodeRefreshReused:
		// After "replaced" the browser may hold the cookie of the later sign-in already.
		if r.URL.Path == pathRefresh && len(s.refreshCookie().Values(r)) > 0 && refusal.Ended != watchword.EndedReplaced {
			s.clearCookie(w)
		}
	case watchword.CodeAmbiguousCredentials:
		if len(s.refreshCookie().Values(r)) > 1 {
			s.clearCookie(w)
		}
	}
}
