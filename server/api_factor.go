package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/qr"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes serve the second step of a sign-in, the factors of an account, and the step-up.
//
// The rules are in the engine and in package factors. These handlers decide only how the handle of a challenge is
// sent. A browser gets it in a cookie that scripts can't read. Other clients request it in the body, like the refresh
// token.

// A challengeBody is the member challenge of the errors SECOND_FACTOR_REQUIRED and ENROLMENT_REQUIRED.
type challengeBody struct {
	Methods   []string        `json:"methods" nullable:"false" doc:"totp, passkey, recovery"`
	ExpiresIn int64           `json:"expiresIn" doc:"Seconds"`
	Passkey   *ceremonyAnswer `json:"passkey,omitempty"`
	Handle    string          `json:"handle,omitempty" doc:"Only with delivery: body"`

	RememberFor int64 `json:"rememberFor,omitempty" doc:"Seconds for which rememberDevice skips the factor in this browser"`
}

// newChallengeBody returns nil if the refusal has no challenge. The handle is empty unless the client requested it in
// the body (deliverChallenge).
func newChallengeBody(refusal *watchword.Error) *challengeBody {
	if refusal.Challenge == nil {
		return nil
	}
	// The lifetime is in whole seconds, like expiresIn of tokens.
	offer := refusal.Challenge
	body := &challengeBody{Methods: offer.Methods, ExpiresIn: int64(offer.ExpiresIn / time.Second),
		Handle: string(offer.Handle)}
	if offer.Handle == "" { // only a browser with the step cookie can be remembered
		body.RememberFor = int64(offer.RememberFor / time.Second)
	}
	if len(offer.Passkey) > 0 {
		body.Passkey = &ceremonyAnswer{PublicKey: offer.Passkey}
	}
	return body
}

// deliverChallenge moves the handle of a challenge into the step cookie, unless delivery asks for it in the body.
// Every handler that signs in by a password passes its errors through deliverChallenge, so that scripts in a browser
// never see the handle. Package factors adds the kinds of factors and the options of a ceremony with a passkey.
func (a *api) deliverChallenge(w http.ResponseWriter, r *http.Request, err error, delivery string) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) || refusal.Challenge == nil {
		return err
	}
	if a.factors != nil {
		err = a.factors.Offer(r.Context(), err)
	}
	if !errors.As(err, &refusal) || refusal.Challenge == nil || delivery == deliveryBody {
		return err
	}
	a.cookies.secondStep.Set(w, string(refusal.Challenge.Handle), refusal.Challenge.ExpiresIn)
	shown, offer := *refusal, *refusal.Challenge
	offer.Handle = ""
	shown.Challenge = &offer
	// The error is copied before it is changed, because its original may be logged or compared elsewhere.
	return &shown
}

// A factorLoginBody has one proof. If it contains a handle, the response has the tokens in the
// body.
type factorLoginBody struct {
	TOTP         string          `json:"totp,omitempty" doc:"Six digits"`
	RecoveryCode string          `json:"recoveryCode,omitempty"`
	Passkey      json.RawMessage `json:"passkey,omitempty" doc:"AuthenticationResponseJSON"`
	Handle       string          `json:"handle,omitempty" doc:"For clients that received it in a body"`

	RememberDevice bool `json:"rememberDevice,omitempty" doc:"Skip the factor in this browser from now on; not with handle"`
}

// loginWithFactor deletes the step cookie when the challenge can't be used again.
func (a *api) loginWithFactor(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[factorLoginBody](r)
	if err != nil {
		return err
	}
	handle, delivery, err := a.readHandle(r, body.Handle)
	if err != nil {
		return err
	}
	if body.RememberDevice && delivery == deliveryBody {
		return invalidField("rememberDevice", watchword.FieldInvalid, "Only browsers with the step cookie are remembered.")
	}
	in, err := a.factors.Login(r.Context(), factors.LoginRequest{
		Handle: handle, Replaces: a.cookies.tokenToReplace(r, delivery), Client: a.clients.readClient(w, r),
		Remember: body.RememberDevice,
		Proof: factors.Proof{TOTP: watchword.Secret(body.TOTP), RecoveryCode: watchword.Secret(body.RecoveryCode),
			Passkey: body.Passkey},
	})
	a.clearUsedStepCookie(w, delivery, err)
	if err != nil {
		return err
	}
	return a.respondSignIn(w, r, http.StatusOK, in, delivery)
}

// readHandle accepts the handle of an unfinished sign-in in the step cookie or in the body. The tokens are sent where
// the handle was. A script can't read the step cookie, so it can't move the handle to the body to get the tokens.
func (a *api) readHandle(r *http.Request, body string) (handle watchword.Secret, delivery string, err error) {
	cookie, err := apirequest.CookieToken(r, a.cookies.secondStep.Name)
	switch {
	case err != nil:
		return "", "", err
	// Two handles may belong to two accounts, so the client must send only one.
	case cookie != "" && body != "":
		return "", "", &watchword.Error{Code: apirequest.CodeAmbiguousCredentials,
			Detail: "There is a handle in the cookie and one in the body. Send one of them."}
	case body != "":
		return watchword.Secret(body), deliveryBody, nil
	}
	return watchword.Secret(cookie), "", nil
}

// deliveryForHandle selects the body for a client that sent its handle in the body, and cookies for a browser.
func deliveryForHandle(bodyHandle string) string {
	if bodyHandle == "" {
		return ""
	}
	return deliveryBody
}

// clearUsedStepCookie deletes the step cookie after a success, and after an error that ends the challenge. A wrong
// code does not end the challenge until its attempts are used up. Clients without cookies recognize the end of the
// challenge by the error code.
func (a *api) clearUsedStepCookie(w http.ResponseWriter, delivery string, err error) {
	if delivery == "" && (err == nil || watchword.CodeOf(err) == watchword.CodeChallengeInvalid) {
		a.cookies.secondStep.Clear(w)
	}
}

// A factorBody describes a factor to its owner. It has no secret.
type factorBody struct {
	ID         string     `json:"id" format:"uuid"`
	Kind       string     `json:"kind" enum:"totp,passkey"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	BackedUp   *bool      `json:"backedUp,omitempty" doc:"Of a passkey: it was synchronized at its last use"`
}

// newFactorBody omits lastUsedAt for a factor that was only confirmed, because a zero time would appear as a date in
// the year 1. A page can then say "never used".
func newFactorBody(f factors.Factor) factorBody {
	body := factorBody{ID: f.ID, Kind: string(f.Kind), Name: f.Name, CreatedAt: f.CreatedAt}
	if !f.LastUsedAt.IsZero() {
		body.LastUsedAt = &f.LastUsedAt
	}
	if f.Kind == factors.KindPasskey {
		backedUp := f.BackedUp()
		body.BackedUp = &backedUp
	}
	return body
}

// A codesLeftBody has only the number of unused codes, because each code is shown once.
type codesLeftBody struct {
	Left      int        `json:"left"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
}

// A factorsAnswer has no cursor: an account has few factors.
// The number of recovery codes tells a user when to create new ones.
type factorsAnswer struct {
	Factors       []factorBody  `json:"factors" nullable:"false"`
	RecoveryCodes codesLeftBody `json:"recoveryCodes"`
	Required      bool          `json:"required" doc:"The account must have a factor: the last one can't be removed"`
	Signal        *signalBody   `json:"signal,omitempty"`
}

// listFactors needs no fresh session, because it shows no secret. It costs only one transaction of two statements,
// because account pages call it first.
func (a *api) listFactors(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	overview, err := a.factors.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	// An empty list must be [] and not null, because clients iterate over the list.
	answer := factorsAnswer{Factors: []factorBody{}, RecoveryCodes: codesLeftBody{Left: overview.Codes.Left},
		Required: a.factors.Required(who.User)}
	for _, f := range overview.Factors {
		answer.Factors = append(answer.Factors, newFactorBody(f))
	}
	if !overview.Codes.CreatedAt.IsZero() {
		answer.RecoveryCodes.CreatedAt = &overview.Codes.CreatedAt
	}
	answer.Signal = newSignalBody(a.factors.Signal(who.User.ID, overview.Factors))
	return respond.JSON(w, http.StatusOK, answer)
}

// An enrolmentAnswer has the secret for the authenticator app. No later response repeats it.
type enrolmentAnswer struct {
	ID     string `json:"id" format:"uuid"`
	Secret string `json:"secret" doc:"Base32, to type into the app"`
	URI    string `json:"uri" doc:"otpauth, opens an app on the same device"`
	QR     string `json:"qr" doc:"The URI as an inline SVG without styles or scripts"`
}

// A beginBody is empty, except for a client that received the handle of ENROLMENT_REQUIRED in a body. Such a client
// has no cookies, so only the handle identifies the waiting sign-in.
type beginBody struct {
	Handle string `json:"handle,omitempty" doc:"Of ENROLMENT_REQUIRED, for clients that received it in a body"`
}

// beginTOTP stores the secret in a challenge. The secret becomes a factor only with its first code. A request
// without an access token continues a sign-in that waits for its first factor.
func (a *api) beginTOTP(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[beginBody](r)
	if err != nil {
		return err
	}
	// The name is empty here. The factor gets a name when it is confirmed, and PATCH changes the name.
	var begun factors.Enrolment
	handle, waits, err := a.readWaitingHandle(r, body.Handle)
	if err != nil {
		return err
	}
	if waits {
		begun, err = a.factors.BeginRequired(r.Context(), handle, "")
	} else {
		var who watchword.Identity
		if who, err = authenticate(a.engine, r, nil); err == nil {
			begun, err = a.factors.BeginTOTP(r.Context(), who, "")
		}
	}
	if err != nil {
		return err
	}
	// The server draws the QR code, so that a front-end needs no library. The engine has built the
	// URI, so the picture contains no text of a client.
	picture, err := qr.SVG(string(begun.URI))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusCreated,
		enrolmentAnswer{begun.ID, string(begun.Secret), string(begun.URI), picture})
}

// A sign-in that waits for its first factor has no session, so its requests have no access token. Pages of other
// sites can't continue it, because csrf treats the step cookie as a credential.

// readWaitingHandle ignores the handle if the request has an access token, because a browser may still have the
// cookie of an abandoned sign-in.
func (a *api) readWaitingHandle(r *http.Request, body string) (handle watchword.Secret, waits bool, err error) {
	if r.Header.Get("Authorization") != "" {
		return "", false, nil
	}
	handle, _, err = a.readHandle(r, body)
	return handle, handle != "", err
}

// A codeBody has no name for the app, so that a form for it needs only one field. PATCH changes the name later.
type codeBody struct {
	Code   string `json:"code" doc:"The six digits that the app shows"`
	Handle string `json:"handle,omitempty" doc:"Of ENROLMENT_REQUIRED, for clients that received it in a body"`
}

// A confirmedAnswer has recovery codes only if the account lacked them, and tokens if the factor completes a sign-in.
// The members for tokens have the same names as in the response to a sign-in, so that a client can read both with one
// function. They are not an embedded struct, because JSON would then contain an empty user if no sign-in waits.
type confirmedAnswer struct {
	Factor        factorBody         `json:"factor"`
	RecoveryCodes []string           `json:"recoveryCodes,omitempty" nullable:"false"`
	User          *watchword.Profile `json:"user,omitempty" doc:"This and the following: as a sign-in, if one waited"`
	AccessToken   string             `json:"accessToken,omitempty"`
	TokenType     string             `json:"tokenType,omitempty" enum:"Bearer"`
	ExpiresIn     int64              `json:"expiresIn,omitempty"`
	RefreshToken  string             `json:"refreshToken,omitempty"`
	DeviceToken   string             `json:"deviceToken,omitempty"`
}

// confirmTOTP adds the app as a factor. It does not rotate the refresh token. The next access token of the session
// has the higher level. For a sign-in that waits for its first factor, confirmTOTP opens the session instead.
func (a *api) confirmTOTP(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[codeBody](r)
	if err != nil {
		return err
	}
	handle, waits, err := a.readWaitingHandle(r, body.Handle)
	if err != nil {
		return err
	}
	if waits {
		return a.confirmFirstTOTP(w, r, body, handle)
	}
	who, err := authenticate(a.engine, r, nil)
	if err != nil {
		return err
	}
	done, err := a.factors.ConfirmTOTP(
		r.Context(), who, r.PathValue("id"), watchword.Secret(body.Code), a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, confirmedAnswer{
		Factor: newFactorBody(done.Factor()), RecoveryCodes: recoveryCodeTexts(done.Codes)})
}

// confirmFirstTOTP responds like a sign-in and shows the recovery codes, which no later response shows. If the
// response is lost, the factor and the session exist. The user can then sign in with the app and create new codes.
func (a *api) confirmFirstTOTP(w http.ResponseWriter, r *http.Request, given codeBody, handle watchword.Secret) error {
	done, in, err := a.factors.ConfirmRequired(r.Context(), factors.RequiredRequest{
		Handle: handle, ID: r.PathValue("id"), Code: watchword.Secret(given.Code), Client: a.clients.readClient(w, r),
		Replaces: a.cookies.tokenToReplace(r, deliveryForHandle(given.Handle)),
	})
	return a.respondFirstFactor(w, r, http.StatusOK, given.Handle, firstFactorResult{done, in, err})
}

// A firstFactorResult has a confirmed factor and a session only if err is nil.
type firstFactorResult struct {
	factors.Confirmation
	signIn *watchword.SignIn
	err    error
}

// respondFirstFactor puts the tokens into the body if the handle was in the body, and otherwise into cookies.
func (a *api) respondFirstFactor(
	w http.ResponseWriter, r *http.Request, status int, bodyHandle string, done firstFactorResult,
) error {
	delivery := deliveryForHandle(bodyHandle)
	a.clearUsedStepCookie(w, delivery, done.err)
	if done.err != nil {
		return done.err
	}
	body := a.deliverTokens(w, r, done.signIn, delivery)
	return respond.JSON(w, status, confirmedAnswer{
		Factor: newFactorBody(done.Factor()), RecoveryCodes: recoveryCodeTexts(done.Codes),
		User: &body.User, AccessToken: body.AccessToken, TokenType: body.TokenType, ExpiresIn: body.ExpiresIn,
		RefreshToken: body.RefreshToken, DeviceToken: body.DeviceToken,
	})
}

// recoveryCodeTexts makes the codes readable for the one response that shows them. In logs and JSON, a
// watchword.Secret stays redacted.
func recoveryCodeTexts(codes []watchword.Secret) (texts []string) {
	for _, code := range codes {
		texts = append(texts, string(code))
	}
	return texts
}

// A factorNameBody renames a factor. Package factors checks the name.
type factorNameBody struct {
	Name string `json:"name" doc:"1 to 100 characters, without control characters"`
}

// renameFactor needs no fresh session, because a name is only a label. The engine never compares names, and mails
// and events don't contain them.
func (a *api) renameFactor(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[factorNameBody](r)
	if err != nil {
		return err
	}
	if err := a.factors.Rename(r.Context(), who, r.PathValue("id"), body.Name); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The name is changed."})
}

// removeFactor makes the access token of the request outdated, so the client has to refresh.
func (a *api) removeFactor(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := a.factors.Remove(r.Context(), who, r.PathValue("id"), a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The factor is removed. Your other sessions have ended."})
}

// A codesAnswer is the only response with these codes. A user who loses them must create new codes, because the store
// has only hashes.
type codesAnswer struct {
	Codes []string `json:"codes" nullable:"false" doc:"Shown once. The old codes are invalid"`
}

// replaceRecoveryCodes needs a session with a fresh proof of both factors, because the codes would give a thief
// permanent access.
func (a *api) replaceRecoveryCodes(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	codes, err := a.factors.NewRecoveryCodes(r.Context(), who, a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, codesAnswer{recoveryCodeTexts(codes)})
}

// A stepUpBody has one proof. An account with a factor must use the factor, because a stolen session and the password
// must not be enough for a step-up. If the proof is not enough, the error response contains the required level. The
// front-end can then ask for a code.
type stepUpBody struct {
	TOTP         string          `json:"totp,omitempty"`
	RecoveryCode string          `json:"recoveryCode,omitempty"`
	Passkey      json.RawMessage `json:"passkey,omitempty" doc:"AuthenticationResponseJSON, after step-up/options"`
	Password     string          `json:"password,omitempty" doc:"Only for accounts with a password and without a factor"`
}

// A steppedUpAnswer has no refresh token: the session keeps its generation.
type steppedUpAnswer struct {
	AccessToken string `json:"accessToken"`
	TokenType   string `json:"tokenType" enum:"Bearer"`
	ExpiresIn   int64  `json:"expiresIn" doc:"Seconds until the access token expires"`
}

// stepUp returns only an access token. Older access tokens of the session and the refresh token stay valid, so a lost
// response does not sign the user out. After a lost response, the client repeats the step-up with another code,
// because each code works only once.
func (a *api) stepUp(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.Body[stepUpBody](r)
	if err != nil {
		return err
	}
	// The engine decides which proof the account needs. For an account with a factor, it refuses the password.
	access, life, err := a.factors.StepUp(r.Context(), who, factors.StepUpRequest{
		Proof: factors.Proof{TOTP: watchword.Secret(body.TOTP), RecoveryCode: watchword.Secret(body.RecoveryCode),
			Passkey: body.Passkey},
		Password: watchword.Secret(body.Password), Client: a.clients.readClient(w, r),
	})
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, steppedUpAnswer{string(access), "Bearer", int64(life / time.Second)})
}

// stepUpChallenge returns the parameters of WWW-Authenticate that RFC 9470 defines. max_age is in seconds. The error
// is not invalid_token, because clients that know only that error would refresh their token, which does not help.
func stepUpChallenge(s *watchword.StepUp) string {
	challenge := `, error="insufficient_user_authentication"`
	// A gateway may require only the level or only the age.
	if s.ACR != "" {
		challenge += fmt.Sprintf(`, acr_values=%q`, s.ACR)
	}
	if s.MaxAge > 0 {
		challenge += fmt.Sprintf(`, max_age="%d"`, int64(s.MaxAge/time.Second))
	}
	return challenge
}

// enrolErrorCodes are for routes that also work without an access token, for a sign-in that waits for its first
// factor.
func enrolErrorCodes() []watchword.Code {
	return []watchword.Code{watchword.CodeTokenMissing, watchword.CodeTokenExpired, watchword.CodeTokenInvalid,
		watchword.CodeSessionEnded, apirequest.CodeAmbiguousCredentials}
}

// factorRoutes is empty without Options.Factors.
func (a *api) factorRoutes() []route {
	if a.factors == nil {
		return nil
	}
	const path = pathAPI + "/factors"
	// These are the error codes that most routes share. The codes in the slice tokens are for routes that also accept
	// a sign-in that waits for its first factor.
	limit, wrong := watchword.CodeRateLimited, watchword.CodeFactorWrong
	stepUp, gone := watchword.CodeStepUpRequired, watchword.CodeNotFound
	late, unproven := watchword.CodeChallengeInvalid, watchword.CodeEmailNotVerified
	invalid, tokens := []watchword.Code{watchword.CodeValidationFailed}, enrolErrorCodes()
	// The route that completes a sign-in is public, because its handle is the credential. All other routes need a
	// bearer token, but the first factor can also be added with the handle of a waiting sign-in. If a change needs a
	// fresh session, the engine checks this in the transaction of the change.
	return []route{
		{"POST", pathAPI + "/login/factor", a.loginWithFactor, public, "Complete a sign-in with a second factor",
			factorLoginBody{}, 200, signedInBody{}, join(invalid, nil, late, wrong, limit, unproven,
				watchword.CodeAccountDisabled, apirequest.CodeAmbiguousCredentials)},
		{"GET", path, a.requireToken(a.listFactors), bearer, "List your second factors", nil, 200, factorsAnswer{}, nil},
		{"POST", path + "/totp", a.beginTOTP, firstFactor, "Create a secret for an authenticator app",
			beginBody{}, 201, enrolmentAnswer{}, join(tokens, nil, stepUp, unproven, gone, late,
				watchword.CodeFactorLimit)},
		{"POST", path + "/totp/{id}/confirm", a.confirmTOTP, firstFactor, "Add the app, with its first code",
			codeBody{}, 200, confirmedAnswer{}, join(tokens, nil, late, wrong, stepUp, unproven,
				watchword.CodeFactorLimit, watchword.CodeAccountDisabled)},
		{"PATCH", path + "/{id}", a.requireToken(a.renameFactor), bearer, "Rename a factor",
			factorNameBody{}, 200, messageBody{}, join(invalid, nil, gone)},
		{"DELETE", path + "/{id}", a.requireToken(a.removeFactor), bearer, "Remove a factor and end all other sessions",
			nil, 200, messageBody{}, join(nil, nil, stepUp, gone, watchword.CodeLastWayIn)},
		{"POST", path + "/recovery-codes", a.requireToken(a.replaceRecoveryCodes), bearer, "Replace your recovery codes",
			nil, 200, codesAnswer{}, join(nil, nil, stepUp, gone)},
		{"POST", pathAPI + "/step-up", a.requireToken(a.stepUp), bearer, "Prove again that it is you",
			stepUpBody{}, 200, steppedUpAnswer{},
			join(invalid, nil, wrong, watchword.CodePasswordWrong, stepUp, limit, late, watchword.CodeTryLater)},
	}
}
