package apiexample

// Advice returns what a client should do about an error code, or "".
func Advice(code string) string { return adviceByCode[code] }

// Message returns the sentence that a route of the API sends in its response, or "".
func Message(method, path string) string { return responseMessages[method+" "+path] }

// responseMessages maps a method and a path below /api/auth to the sentence in the response. A test of package server
// compares the sentences with the responses.
var responseMessages = map[string]string{
	"POST /logout":              "You are signed out.",
	"POST /logout-all":          "Your other sessions have ended.",
	"DELETE /me":                "The account is deleted.",
	"DELETE /sessions/{id}":     "The session has ended.",
	"POST /password/forgot":     "If there is an account with this address, we emailed a link to it.",
	"POST /email/verify/resend": "If there is an account with this address, we emailed a link to it.",
	"POST /password/reset": "Password changed. All sessions have ended. " +
		"Sign in with the new password.",
	"POST /password/change": "Password changed. Your other sessions have ended.",
	"POST /email/change": "We emailed a link to the new address. " +
		"Your address changes when you confirm it there.",
	"POST /email/change/confirm": "Address changed. Use the new address to sign in.",
	"POST /email/change/undo": "Your previous address is restored, and all sessions have ended. " +
		"We emailed a link to choose a new password.",
	" /forward":    "The request is authenticated.",
	"GET /healthz": "up",
	"GET /readyz":  "ready",
}

// adviceByCode says what a client should do about each error code. A test of package server fails if a code is
// missing.
var adviceByCode = map[string]string{
	"BODY_INVALID":             "Correct the JSON, or the name of the member that the detail names.",
	"BODY_TOO_LARGE":           "Send at most 16 KiB.",
	"CONTENT_TYPE_UNSUPPORTED": "Send Content-Type: application/json.",
	"METHOD_NOT_ALLOWED":       "Use a method of the header Allow.",
	"NOT_FOUND":                "It does not exist, or you are not allowed to see it.",
	"CROSS_ORIGIN":             "Add the origin of the front-end to the setting allowed-origins.",
	"MISDIRECTED_REQUEST":      "Send the host of the public URL, also through a proxy.",
	"AMBIGUOUS_CREDENTIALS":    "Send one token of a kind: in the cookie, the header or the body.",
	"PARAMETER_INVALID":        "Correct the query.",
	"VALIDATION_FAILED":        "Show each entry of errors at its field.",
	"INVALID_CREDENTIALS":      "The address or the password is wrong. The server doesn't say which.",
	"EMAIL_NOT_VERIFIED":       "Offer to send the verification mail again.",
	"SECOND_FACTOR_REQUIRED":   "Ask for a code of the authenticator app or a recovery code, and call login/factor.",
	"ENROLMENT_REQUIRED":       "Let the user add a second factor: call factors/totp without an access token.",
	"CHALLENGE_INVALID":        "Start the sign-in again.",
	"FACTOR_WRONG":             "Ask for the current code again.",
	"STEP_UP_REQUIRED":         "Ask for a new proof, call step-up, and repeat the request with the new access token.",
	"LAST_ADMIN":               "Make another account an administrator first.",
	"OWN_ROLES":                "Another administrator has to change these roles.",
	"FACTOR_LIMIT":             "Offer to remove a factor first.",
	"LAST_WAY_IN":              "Offer to set a password or to add a passkey first.",
	"ACCOUNT_DISABLED":         "Show the detail. Only an operator can enable the account.",
	"PASSWORD_REQUIRED":        "Ask for the password, and send it with the same token.",
	"PASSWORD_WRONG":           "Ask for the password again. The session goes on.",
	"TOKEN_MISSING":            "Send the access token.",
	"TOKEN_EXPIRED":            "Refresh, and send the request again.",
	"TOKEN_INVALID":            "Refresh, or sign in.",
	"INSUFFICIENT_SCOPE":       "The account lacks the required role.",
	"REFRESH_MISSING":          "Nobody is signed in. Show the sign-in.",
	"REFRESH_INVALID":          "Show the sign-in.",
	"REFRESH_REUSED":           "Show the sign-in, and say that the token was used twice.",
	"SESSION_ENDED":            "Show the sign-in.",
	"EMAIL_TAKEN":              "Offer to sign in, or to reset the password.",
	"SIGNUP_CLOSED":            "Only an operator creates accounts.",
	"MAIL_TOKEN_INVALID":       "Offer to send a new mail.",
	"RATE_LIMITED":             "Wait for the seconds of Retry-After.",
	"TRY_LATER":                "Wait for the seconds of Retry-After. The user is still signed in.",
	"INTERNAL":                 "Try again, and report the request id.",
}
