package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Code is the reason why a request failed, for programs. schema.go lists the codes of the
// server.
type Code string

// Codes of this package, for requests without a complete response.
const (
	CodeNetwork Code = "NETWORK"
	CodeTimeout Code = "TIMEOUT"
)

// An Error is an error response of the server (RFC 9457), or a missing response. All methods return an Error,
// except for invalid arguments.
type Error struct {
	Code       Code
	Status     int    // HTTP status; 0: no response arrived
	Detail     string // one sentence for people
	Fields     []FieldError
	RequestID  string        // finds the request in the server's log
	RetryAfter time.Duration // 0: the server did not say

	// Set with CodeStepUpRequired. The access token must belong to a session of one of these levels, whose last proof
	// is at most MaxAge old.
	ACRValues []string
	MaxAge    time.Duration

	cause error
}

// Error never contains the key, the URL or the query.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	for _, f := range e.Fields {
		text += fmt.Sprintf(" %s: %s", f.Field, f.Message)
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Unwrap returns the error of the connection, such as context.Canceled, or nil.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of an error of this package, or "".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// connectionError describes a request without a complete response.
func connectionError(err error) *Error {
	// The text of a url.Error has the query, which may contain the address of a person.
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: CodeTimeout, Detail: "The server did not respond in time.", cause: err}
	}
	return &Error{Code: CodeNetwork, Detail: "The server could not be reached, or its response was cut off.", cause: err}
}

// parseErrorResponse returns the Error in a response. It removes the key from the response, because a faulty proxy
// might repeat it.
func parseErrorResponse(r *http.Response, key string) *Error {
	var problem struct {
		Code      Code
		Detail    string
		RequestID string
		Errors    []FieldError
	}
	const maxProblem = 64 << 10
	// A proxy writes no JSON, and the body may be cut off. In both cases, the status is enough.
	raw, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem))
	_ = json.Unmarshal(bytes.ReplaceAll(raw, []byte(key), []byte("…")), &problem)
	e := &Error{Code: problem.Code, Status: r.StatusCode, Detail: problem.Detail, RequestID: problem.RequestID,
		Fields: problem.Errors}
	if e.Code == "" {
		e.Code, e.Detail = codeOfStatus(r.StatusCode), fmt.Sprintf("The server responded %d.", r.StatusCode)
	}
	if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	challenge := r.Header.Get("WWW-Authenticate")
	if found := acrValues.FindStringSubmatch(challenge); found != nil {
		e.ACRValues = strings.Fields(found[1])
	}
	if found := maxAge.FindStringSubmatch(challenge); found != nil {
		seconds, _ := strconv.Atoi(found[1])
		e.MaxAge = time.Duration(seconds) * time.Second
	}
	return e
}

var (
	acrValues = regexp.MustCompile(`acr_values="([^"]*)"`)
	maxAge    = regexp.MustCompile(`max_age="?([0-9]{1,9})`)
)

// codeOfStatus is for a response that has no code, such as the response of a proxy.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusUnauthorized:
		return CodeTokenInvalid
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusTooManyRequests:
		return CodeRateLimited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return CodeTryLater
	}
	return CodeInternal
}
