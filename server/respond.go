package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
	"github.com/watchword-auth/watchword/metadata"
)

// statusOf is the only code that maps error codes to statuses. The OpenAPI document, the pages and the dialects also
// call it. The status of unlisted codes is 500.
func statusOf(code watchword.Code) int {
	switch code {
	case apirequest.CodeBodyInvalid, apirequest.CodeAmbiguousCredentials, watchword.CodeParameterInvalid,
		watchword.CodeMailTokenInvalid:
		return http.StatusBadRequest
	case watchword.CodeInvalidCredentials, watchword.CodeTokenMissing, watchword.CodeTokenExpired,
		watchword.CodeTokenInvalid,
		watchword.CodeRefreshMissing, watchword.CodeRefreshInvalid, watchword.CodeRefreshReused, watchword.CodeSessionEnded,
		watchword.CodeChallengeInvalid, watchword.CodeStepUpRequired:
		return http.StatusUnauthorized
	case watchword.CodeEmailNotVerified, watchword.CodeAccountDisabled, watchword.CodePasswordWrong,
		watchword.CodePasswordRequired, watchword.CodeSecondFactorRequired, watchword.CodeEnrolmentRequired,
		watchword.CodeFactorWrong, federation.CodeProviderRefused, federation.CodeLinkRequired,
		watchword.CodeInsufficientScope, admin.CodeOwnRoles, watchword.CodeSignupClosed, apirequest.CodeCrossOrigin:
		return http.StatusForbidden
	case watchword.CodeNotFound:
		return http.StatusNotFound
	case apirequest.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case watchword.CodeEmailTaken, watchword.CodeLastAdmin, watchword.CodeLastWayIn, federation.CodeIdentityTaken:
		return http.StatusConflict
	case metadata.CodeVersionChanged:
		return http.StatusPreconditionFailed
	case apirequest.CodeBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case apirequest.CodeContentType:
		return http.StatusUnsupportedMediaType
	case apirequest.CodeMisdirected:
		return http.StatusMisdirectedRequest
	case watchword.CodeValidationFailed, watchword.CodeFactorLimit:
		return http.StatusUnprocessableEntity
	case watchword.CodeRateLimited:
		return http.StatusTooManyRequests
	case watchword.CodeTryLater, federation.CodeProviderUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// A problem is the body of an error response (RFC 9457). Clients program against Code. Error
// repeats Detail for clients that were written for the APIs of other servers.
type problem struct {
	Type      string                 `json:"type" doc:"Always about:blank. Program against code"`
	Title     string                 `json:"title" doc:"The text of the status"`
	Status    int                    `json:"status"`
	Detail    string                 `json:"detail" doc:"One sentence for people"`
	Code      watchword.Code         `json:"code" doc:"Stable. Program against this member"`
	Error     string                 `json:"error" doc:"The same as detail"`
	RequestID string                 `json:"requestId" doc:"Also in the log of the server"`
	Errors    []watchword.FieldError `json:"errors,omitempty" nullable:"false" doc:"With VALIDATION_FAILED"`
	Challenge *challengeBody         `json:"challenge,omitempty" doc:"With SECOND_FACTOR_REQUIRED and ENROLMENT_REQUIRED"`
}

// detailInternal does not reveal the cause, which is in the log under the request id.
const detailInternal = "Something went wrong here. Try again. If the error persists, send us the request id."

// An errorResponder writes and logs error responses, for the API, the pages and the
// dialects.
type errorResponder struct {
	log       *slog.Logger
	logLimits refusalLog
	origins   *originPolicy
	cookies   *cookieSet
	clients   *clientReader
	dialects  dialectList

	// showPage writes an error as an HTML page. If showPage fails, the response is JSON.
	showPage func(http.ResponseWriter, *http.Request, *watchword.Error) error
	// routeFor returns the route that a request would reach. It comes from the router, which is created later
	// (newServer).
	routeFor func(*http.Request) string
}

// httpHandler writes the error response for a handler that returns an error. Such a handler has not written anything.
func (e *errorResponder) httpHandler(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			e.respondError(w, r, err)
		}
	})
}

// asRefusal returns nil if err is not a refusal. A refused request has made no change. After any other error, the
// server does not know whether a change was made.
func asRefusal(err error) *watchword.Error {
	var refusal *watchword.Error
	var unread *apirequest.Error
	if !errors.As(err, &refusal) && errors.As(err, &unread) {
		refusal = &watchword.Error{Code: watchword.Code(unread.Code), Detail: unread.Detail}
	}
	return refusal
}

// respondError uses the format of the API, a page or a dialect. It shows the text of a refusal. Any other error is
// logged with the request id and not shown.
func (e *errorResponder) respondError(w http.ResponseWriter, r *http.Request, err error) {
	refusal := asRefusal(err)
	switch {
	case refusal != nil:
		e.logRefusal(w, r, refusal)
	// The text of the response says that the user is still signed in. Its status is never 401, because a client could
	// take a 401 for a sign-out and discard a valid session.
	case errors.Is(err, watchword.ErrUnavailable):
		e.logUnavailable(w, r, err)
		refusal = &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: 2 * time.Second,
			Detail: "The service is not available at this moment. Try again shortly; you are still signed in."}
	case r.Context().Err() != nil:
		// The client has usually disconnected. Behind a proxy it may still read the
		// response, which must not look like a success.
		refusal = &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: time.Second,
			Detail: "The request was interrupted. Try again; you are still signed in."}
	default:
		e.log.Error("a request failed", slog.String("request_id", w.Header().Get(requestIDHeader)), slog.Any("error", err))
		refusal = &watchword.Error{Code: watchword.CodeInternal,
			Detail: detailInternal}
	}
	// These headers are the same as for the API. They are set first, so that a dialect can change them.
	e.setErrorHeaders(w, r, refusal)
	if d := e.dialects.dialectFor(r); d != nil {
		status := statusOf(refusal.Code)
		// The clients of a dialect don't support a second step. They get a text that says where to sign in.
		if refusal.Challenge != nil {
			status, refusal = http.StatusBadRequest, &watchword.Error{Code: refusal.Code,
				Detail: "This account needs a second factor. Sign in at " + e.origins.parsedURL.String() + pathLogin + "."}
		}
		d.Refuse(w, r, status, refusal)
		return
	}
	if wantsPage(r) && e.showPage(w, r, refusal) == nil {
		return
	}
	status := statusOf(refusal.Code)
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: refusal.Detail, Error: refusal.Detail, Code: refusal.Code,
		RequestID: w.Header().Get(requestIDHeader), Errors: refusal.Fields, Challenge: newChallengeBody(refusal),
	})
	if err != nil {
		panic(err) // impossible: a problem has only strings and numbers
	}
	respond.Write(w, status, "application/problem+json", body)
}

// setErrorHeaders sets the headers of an error: Retry-After, WWW-Authenticate (RFC 6750, section 3),
// and Set-Cookie to delete refresh cookies that no longer work. Pages and dialects use it too, so
// clients can rely on these headers everywhere.
func (e *errorResponder) setErrorHeaders(w http.ResponseWriter, r *http.Request, refusal *watchword.Error) {
	h, status := w.Header(), statusOf(refusal.Code)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		// The header has whole seconds, rounded up, and at least one. With 0, clients would retry at once.
		seconds := (refusal.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(max(int64(seconds), 1), 10))
	}
	challenge := `Bearer realm="` + e.origins.parsedURL.Host + `"`
	switch refusal.Code {
	case watchword.CodeTokenExpired, watchword.CodeTokenInvalid:
		challenge += `, error="invalid_token"`
	// A refresh has no bearer token, so the error invalid_token would be wrong.
	case watchword.CodeSessionEnded:
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"`
		}
	case watchword.CodeStepUpRequired:
		challenge += stepUpChallenge(refusal.StepUp)
	case watchword.CodeInsufficientScope:
		challenge += `, error="insufficient_scope"`
	}
	if status == http.StatusUnauthorized || refusal.Code == watchword.CodeInsufficientScope {
		h.Set("WWW-Authenticate", challenge)
	}
	switch refusal.Code {
	case watchword.CodeRefreshInvalid, watchword.CodeSessionEnded, watchword.CodeRefreshReused:
		// If a later sign-in in this browser ended the session, the cookie is kept: the browser may already have the
		// new cookie of that sign-in.
		used := e.cookies.refresh.Presented(r)
		if r.URL.Path == pathRefresh && len(used.Values(r)) > 0 && refusal.Ended != watchword.EndedReplaced {
			used.Clear(w)
		}
	// With two cookies of the same name, no request can succeed. If this host's cookie is deleted, the next sign-in
	// works, even if another host of the domain has set the second cookie.
	case apirequest.CodeAmbiguousCredentials:
		e.cookies.refresh.ClearRepeated(w, r)
	}
}
