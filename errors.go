package watchword

import (
	"errors"
	"fmt"
	"time"
)

// A Code names a refusal. It is stable: clients program against it.
type Code string

// Every refusal that a client can meet. The HTTP status of each stands in
// server/respond.go, and clients/typescript takes its union from this table.
const (
	// The request itself.
	CodeBodyInvalid          Code = "BODY_INVALID"
	CodeBodyTooLarge         Code = "BODY_TOO_LARGE"
	CodeContentType          Code = "CONTENT_TYPE_UNSUPPORTED"
	CodeMethodNotAllowed     Code = "METHOD_NOT_ALLOWED"
	CodeNotFound             Code = "NOT_FOUND"
	CodeCrossOrigin          Code = "CROSS_ORIGIN"
	CodeMisdirected          Code = "MISDIRECTED_REQUEST"
	CodeAmbiguousCredentials Code = "AMBIGUOUS_CREDENTIALS"
	CodeParameterInvalid     Code = "PARAMETER_INVALID"
	CodeValidationFailed     Code = "VALIDATION_FAILED"

	// Who is asking.
	CodeInvalidCredentials Code = "INVALID_CREDENTIALS"
	CodeEmailNotVerified   Code = "EMAIL_NOT_VERIFIED"
	CodeAccountDisabled    Code = "ACCOUNT_DISABLED"
	CodePasswordRequired   Code = "PASSWORD_REQUIRED"
	CodePasswordWrong      Code = "PASSWORD_WRONG"
	CodeTokenMissing       Code = "TOKEN_MISSING"
	CodeTokenExpired       Code = "TOKEN_EXPIRED"
	CodeTokenInvalid       Code = "TOKEN_INVALID"
	CodeInsufficientScope  Code = "INSUFFICIENT_SCOPE"

	// The session.
	CodeRefreshMissing Code = "REFRESH_MISSING"
	CodeRefreshInvalid Code = "REFRESH_INVALID"
	CodeRefreshReused  Code = "REFRESH_REUSED"
	CodeSessionEnded   Code = "SESSION_ENDED"

	// The account.
	CodeEmailTaken       Code = "EMAIL_TAKEN"
	CodeSignupClosed     Code = "SIGNUP_CLOSED"
	CodeMailTokenInvalid Code = "MAIL_TOKEN_INVALID"

	// Not now.
	CodeRateLimited Code = "RATE_LIMITED"
	CodeTryLater    Code = "TRY_LATER"
	CodeInternal    Code = "INTERNAL"
)

// Field codes stand in Error.Fields beside CodeValidationFailed.
const (
	FieldRequired         = "REQUIRED"
	FieldTooLong          = "TOO_LONG"
	FieldInvalid          = "INVALID"
	FieldPasswordShort    = "PASSWORD_TOO_SHORT"
	FieldPasswordLong     = "PASSWORD_TOO_LONG"
	FieldPasswordCommon   = "PASSWORD_COMMON"
	FieldPasswordPersonal = "PASSWORD_PERSONAL"
	FieldTaken            = "TAKEN" // belongs to another account (imports only)
)

// An Error is a refusal: the caller did something that the engine will not do,
// and the text may be shown to them. Every other error is internal.
type Error struct {
	Code   Code
	Detail string // one plain sentence that says what to do next; never a submitted value

	// Fields says which members of the request are unacceptable
	// (CodeValidationFailed only).
	Fields []FieldError

	// Ended is why the session ended, where that is known (CodeSessionEnded, and what
	// a dialect says instead).
	Ended EndReason

	// RetryAfter is how long to wait (CodeRateLimited and CodeTryLater only).
	RetryAfter time.Duration
}

// A FieldError is one member of a request that is missing or unacceptable.
type FieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Detail) }

// Is reports two refusals equal when their codes are, so that callers can ask
// errors.Is(err, &watchword.Error{Code: …}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of a refusal anywhere in err's chain, and
// CodeInternal for any other error.
func CodeOf(err error) Code {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return CodeInternal
}

// Errors that a Store answers with. They are questions answered, not refusals:
// the engine decides what each means to the caller.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")

	// ErrUnavailable: the store can't be reached, is full or is read-only.
	// Nothing was changed, or it is not known whether it was.
	ErrUnavailable = errors.New("store unavailable")

	// ErrNotWritable: the store is full or read-only. It wraps ErrUnavailable.
	ErrNotWritable = fmt.Errorf("%w: it accepts no writes", ErrUnavailable)
)

func refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

func unacceptable(fields ...FieldError) *Error {
	return &Error{Code: CodeValidationFailed, Detail: fields[0].Message, Fields: fields}
}
