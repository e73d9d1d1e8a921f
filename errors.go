package watchword

import (
	"errors"
	"fmt"
	"time"
)

// A Code identifies a refusal. Codes are stable, because clients depend on them.
type Code string

// Other packages declare further codes; internal/apirequest declares those of malformed requests. server/respond.go
// maps each code to an HTTP status, and the union type in clients/typescript is generated from the codes.
const (
	// The request itself.
	CodeNotFound         Code = "NOT_FOUND"
	CodeValidationFailed Code = "VALIDATION_FAILED"

	// Authentication.
	CodeInvalidCredentials Code = "INVALID_CREDENTIALS"
	CodeEmailNotVerified   Code = "EMAIL_NOT_VERIFIED"
	CodeAccountDisabled    Code = "ACCOUNT_DISABLED"
	CodePasswordRequired   Code = "PASSWORD_REQUIRED"
	CodePasswordWrong      Code = "PASSWORD_WRONG"
	CodeTokenMissing       Code = "TOKEN_MISSING"
	CodeTokenExpired       Code = "TOKEN_EXPIRED"
	CodeTokenInvalid       Code = "TOKEN_INVALID"
	CodeInsufficientScope  Code = "INSUFFICIENT_SCOPE"

	// The second factor.
	CodeSecondFactorRequired Code = "SECOND_FACTOR_REQUIRED"
	CodeEnrolmentRequired    Code = "ENROLMENT_REQUIRED"
	CodeChallengeInvalid     Code = "CHALLENGE_INVALID"
	CodeFactorWrong          Code = "FACTOR_WRONG"
	CodeStepUpRequired       Code = "STEP_UP_REQUIRED"
	CodeFactorLimit          Code = "FACTOR_LIMIT"

	// The session.
	CodeRefreshMissing Code = "REFRESH_MISSING"
	CodeRefreshInvalid Code = "REFRESH_INVALID"
	CodeRefreshReused  Code = "REFRESH_REUSED"
	CodeSessionEnded   Code = "SESSION_ENDED"

	// The account.
	CodeEmailTaken       Code = "EMAIL_TAKEN"
	CodeSignupClosed     Code = "SIGNUP_CLOSED"
	CodeMailTokenInvalid Code = "MAIL_TOKEN_INVALID"
	CodeLastAdmin        Code = "LAST_ADMIN"

	// Requests that can succeed later, and internal errors.
	CodeRateLimited Code = "RATE_LIMITED"
	CodeTryLater    Code = "TRY_LATER"
	CodeInternal    Code = "INTERNAL"
)

// Codes that several other packages of this module use, such as admin, factors and server.
//
// Unstable: for packages of this module.
const (
	CodeParameterInvalid Code = "PARAMETER_INVALID" // a query parameter is invalid
	CodeLastWayIn        Code = "LAST_WAY_IN"       // the account would have no way to sign in
)

// Field codes are the values of FieldError.Code (with CodeValidationFailed).
const (
	FieldRequired         = "REQUIRED"
	FieldTooLong          = "TOO_LONG"
	FieldInvalid          = "INVALID"
	FieldPasswordShort    = "PASSWORD_TOO_SHORT"
	FieldPasswordLong     = "PASSWORD_TOO_LONG"
	FieldPasswordCommon   = "PASSWORD_COMMON"
	FieldPasswordPersonal = "PASSWORD_PERSONAL"
)

// An Error is a refusal: the engine rejects the request. Clients may see its text. Every other error is internal.
type Error struct {
	Code   Code
	Detail string // what is wrong and what to do next; never contains a submitted value

	// Fields lists the invalid fields of the request (CodeValidationFailed only).
	Fields []FieldError

	// Ended is why a session has ended, and Session is the id of this session. The engine sets both fields with
	// CodeSessionEnded, if the reason is known.
	Ended   EndReason
	Session SessionID

	// RetryAfter is how long to wait (CodeRateLimited and CodeTryLater only).
	RetryAfter time.Duration

	// Challenge is how to continue (CodeSecondFactorRequired and CodeEnrolmentRequired only).
	Challenge *ChallengeOffer

	// StepUp is the proof that the session lacks (CodeStepUpRequired only).
	StepUp *StepUp
}

// A StepUp describes the newer or stronger proof that a session needs (RFC 9470).
type StepUp struct {
	ACR    string        // "aal1" or "aal2"
	MaxAge time.Duration // longest allowed age of the proof
}

// A FieldError describes one missing or invalid field of a request.
type FieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ErrNotWritable means that the store is full or read-only. It wraps ErrUnavailable.
//
// Unstable: stores return it.
var ErrNotWritable = fmt.Errorf("%w: it accepts no writes", ErrUnavailable)

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Detail) }

// Is reports whether target is an *Error with the same Code, for errors.Is(err, &watchword.Error{Code: …}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of a refusal anywhere in err's chain, and CodeInternal for any other error.
func CodeOf(err error) Code {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return CodeInternal
}

// Errors that a Store returns. They are not refusals: the engine decides what each means for the client.
var (
	// ErrNotFound means that the row does not exist.
	ErrNotFound = errors.New("not found")

	// ErrUnavailable means that the store is unreachable, full or read-only. The
	// transaction either had no effect or has an unknown outcome.
	ErrUnavailable = errors.New("store unavailable")
)

func refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

func unacceptable(fields ...FieldError) *Error {
	return &Error{Code: CodeValidationFailed, Detail: fields[0].Message, Fields: fields}
}
