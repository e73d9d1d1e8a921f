package server

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes create passkeys, sign in with a passkey alone, and return the options of a step-up.
//
// The handlers pass the JSON of the browser on unchanged, and package factors verifies it. The options of a
// passwordless sign-in are the same for each visitor, except for the challenge. They therefore do not reveal whether
// an account exists or has a passkey.

// A ceremonyAnswer has the options as the engine wrote them. A client passes them unchanged to
// PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON.
type ceremonyAnswer struct {
	Ceremony  string          `json:"ceremony,omitempty" doc:"Send it back with the credential"`
	PublicKey json.RawMessage `json:"publicKey" doc:"The options, as WebAuthn Level 3 writes them in JSON"`
	Mediation string          `json:"mediation,omitempty" doc:"conditional: the browser may create it without a dialog"`
}

// newCeremonyAnswer omits the members that a ceremony does not have.
func newCeremonyAnswer(c factors.Ceremony) ceremonyAnswer {
	return ceremonyAnswer{string(c.ID), c.Options, c.Mediation}
}

// A beginPasskeyBody may be empty. If a sign-in waits for its first factor, the body has the handle of this sign-in.
// For such a sign-in, the member upgrade has no effect, because the user has to confirm a dialog.
type beginPasskeyBody struct {
	Upgrade bool   `json:"upgrade,omitempty" doc:"Create it without a dialog, after a sign-in with a password"`
	Handle  string `json:"handle,omitempty" doc:"Of ENROLMENT_REQUIRED, for clients that received it in a body"`
}

// beginPasskey starts a ceremony that creates a passkey. The member upgrade requests a creation without a dialog, so
// the engine does not check user presence for it. The sealed ceremony contains this member, so that a client can't
// change it later. A request without an access token continues a sign-in that waits for its first factor.
func (a *api) beginPasskey(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.OptionalBody[beginPasskeyBody](r)
	if err != nil {
		return err
	}
	handle, waits, err := a.readWaitingHandle(r, body.Handle)
	if err != nil {
		return err
	}
	var begun factors.Ceremony
	if waits {
		begun, err = a.factors.BeginRequiredPasskey(r.Context(), handle)
	} else {
		var who watchword.Identity
		// The engine decides whether the session is fresh enough, in the transaction of the ceremony.
		if who, err = authenticate(a.engine, r, nil); err == nil {
			begun, err = a.factors.BeginPasskey(r.Context(), who, body.Upgrade)
		}
	}
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newCeremonyAnswer(begun))
}

// A newPasskeyBody has the response of navigator.credentials.create. The credential stays raw JSON, because the
// authenticator has signed some of its bytes. A decoder could change these bytes.
type newPasskeyBody struct {
	Ceremony   string          `json:"ceremony"`
	Credential json.RawMessage `json:"credential" doc:"RegistrationResponseJSON"`
	Name       string          `json:"name,omitempty" doc:"1 to 100 characters; default: the product or the device"`
	Handle     string          `json:"handle,omitempty" doc:"Of ENROLMENT_REQUIRED, for clients that received it in a body"`
}

// addPasskey needs no fresh session, because the session was fresh when the ceremony began, and finding a security
// key can take minutes. If a sign-in waits for its first factor, addPasskey also opens the session.
func (a *api) addPasskey(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[newPasskeyBody](r)
	if err != nil {
		return err
	}
	handle, waits, err := a.readWaitingHandle(r, body.Handle)
	if err != nil {
		return err
	}
	made := factors.NewPasskey{
		Ceremony: watchword.Secret(body.Ceremony), Credential: body.Credential, Name: body.Name}
	if waits {
		done, in, err := a.factors.ConfirmRequiredPasskey(r.Context(), factors.RequiredPasskey{
			Handle: handle, NewPasskey: made, Client: a.clients.readClient(w, r),
			Replaces: a.cookies.tokenToReplace(r, deliveryForHandle(body.Handle))})
		return a.respondFirstFactor(w, r, http.StatusCreated, body.Handle, firstFactorResult{done, in, err})
	}
	who, err := authenticate(a.engine, r, nil)
	if err != nil {
		return err
	}
	// The response shows recovery codes if this is the first factor. No later response repeats them.
	done, err := a.factors.ConfirmPasskey(r.Context(), who, made, a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusCreated, confirmedAnswer{
		Factor: newFactorBody(done.Factor()), RecoveryCodes: recoveryCodeTexts(done.Codes)})
}

// beginPasskeyLogin needs no token, because the visitor is not known yet. Pages call it at each view, so that the
// browser can suggest passkeys. It therefore writes only the rate-limit counter of the client.
func (a *api) beginPasskeyLogin(w http.ResponseWriter, r *http.Request) error {
	// The ceremony is sealed and sent to the client. If the store had a row for it, visitors who never sign in could
	// fill the store.
	begun, err := a.factors.PasskeyOptions(r.Context(), a.clients.readClient(w, r))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newCeremonyAnswer(begun))
}

// A passkeyLoginBody has the response of navigator.credentials.get. It has no address, because the
// passkey identifies the account.
type passkeyLoginBody struct {
	Ceremony   string          `json:"ceremony"`
	Credential json.RawMessage `json:"credential" doc:"AuthenticationResponseJSON"`
	Remember   *bool           `json:"remember,omitempty" doc:"As for login"`
	Delivery   string          `json:"delivery,omitempty" doc:"As for login"`
}

// codeUnknownPasskey is the code of the field "credential" if no account has the passkey.
const codeUnknownPasskey = "UNKNOWN"

// loginWithPasskey responds like login. INVALID_CREDENTIALS names the field "credential" only if no account has the
// passkey. A client then tells the browser to forget the passkey. The ids of passkeys are random, so the
// response reveals no account.
func (a *api) loginWithPasskey(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[passkeyLoginBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	// The ceremony needs no cookie. It is sealed, works once, and the origin is part of the signature.
	in, err := a.factors.PasskeyLogin(r.Context(), factors.PasskeyLoginRequest{
		Ceremony: watchword.Secret(body.Ceremony), Credential: body.Credential,
		Persistent: body.Remember == nil || *body.Remember, Client: a.clients.readClient(w, r),
		Replaces: a.cookies.tokenToReplace(r, body.Delivery),
	})
	// A passkey also completes the sign-in to an account with a second factor. It counts as two factors, because the
	// authenticator has verified the user. The engine refuses a passkey without user verification.
	//
	// The error is copied before it is changed, because its original may be logged or compared elsewhere.
	var refusal *watchword.Error
	if errors.Is(err, factors.ErrPasskeyUnknown) && errors.As(err, &refusal) {
		unknown := *refusal
		unknown.Fields = []watchword.FieldError{{Field: "credential", Code: codeUnknownPasskey, Message: refusal.Detail}}
		return &unknown
	}
	if err != nil {
		return err
	}
	return a.respondSignIn(w, r, http.StatusOK, in, body.Delivery)
}

// beginPasskeyStepUp responds with 404 to an account without a passkey. A client then asks for a code. The response
// has no member ceremony, because the server finds the ceremony by the challenge in the credential.
func (a *api) beginPasskeyStepUp(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	// The ceremony is a row in the store and works once. Otherwise a signature could be sent again,
	// because many passkeys have no counter.
	begun, err := a.factors.StepUpOptions(r.Context(), who)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newCeremonyAnswer(begun))
}

// A relatedOrigins document lists the origins that may use the passkeys of this RP ID (WebAuthn
// Level 3, section 5.11).
type relatedOrigins struct {
	Origins []string `json:"origins" nullable:"false"`
}

// serveRelatedOrigins is for front-ends on other domains. Browsers read the document without credentials. An hour in
// caches is short enough, because only an operator changes the list.
func (a *api) serveRelatedOrigins(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	return respond.JSON(w, http.StatusOK, relatedOrigins{a.factors.Origins()})
}

// A signalBody is the argument of PublicKeyCredential.signalAllAcceptedCredentials. A page calls it
// after a passkey was removed or renamed, so that the browser forgets passkeys that are not listed.
type signalBody struct {
	RPID        string   `json:"rpId"`
	UserID      string   `json:"userId"`
	AcceptedIDs []string `json:"allAcceptedCredentialIds" nullable:"false"`
}

// newSignalBody returns nil while passkeys are off.
func newSignalBody(s *factors.Signal) *signalBody {
	// An empty list must be [] and not null, so that the browser forgets all passkeys of the
	// account.
	if s == nil {
		return nil
	}
	return &signalBody{s.RPID, s.UserHandle, append([]string{}, s.Credentials...)}
}

// passkeyRoutes is empty while passkeys are off. Existing passkeys then stay in the list of an account, and their
// owner can still remove them.
func (a *api) passkeyRoutes() []route {
	if a.factors == nil || !a.factors.Passkeys() {
		return nil
	}
	limit, wrong, gone := watchword.CodeRateLimited, watchword.CodeFactorWrong, watchword.CodeNotFound
	full, late := watchword.CodeFactorLimit, watchword.CodeChallengeInvalid
	unproven := watchword.CodeEmailNotVerified
	invalid, tokens := []watchword.Code{watchword.CodeValidationFailed}, enrolErrorCodes()
	const path = pathAPI + "/factors/passkeys"
	// The public routes need no token: the options and origins have no secret, and the response of
	// an authenticator is itself a credential.
	return []route{
		{"POST", path + "/options", a.beginPasskey, firstFactor, "Begin the creation of a passkey",
			beginPasskeyBody{}, 200, ceremonyAnswer{}, join(tokens, nil, watchword.CodeStepUpRequired, unproven, full,
				late, gone)},
		{"POST", path, a.addPasskey, firstFactor, "Add the passkey that the browser has created",
			newPasskeyBody{}, 201, confirmedAnswer{}, join(invalid, tokens, late, wrong, full, unproven,
				watchword.CodeAccountDisabled)},
		{"POST", pathAPI + "/passkey/options", a.beginPasskeyLogin, public, "Begin a sign-in with a passkey alone",
			nil, 200, ceremonyAnswer{}, join(nil, nil, limit)},
		{"POST", pathAPI + "/passkey/login", a.loginWithPasskey, public, "Sign in with a passkey alone",
			passkeyLoginBody{}, 200, signedInBody{}, join(invalid, nil, late, limit, unproven,
				watchword.CodeInvalidCredentials, watchword.CodeAccountDisabled)},
		{"POST", pathAPI + "/step-up/options", a.requireToken(a.beginPasskeyStepUp), bearer, "Begin a step-up with a passkey",
			nil, 200, ceremonyAnswer{}, join(nil, nil, gone)},
		{"GET", pathRelatedOrigins, a.serveRelatedOrigins, public, "Read the origins that may use passkeys",
			nil, 200, relatedOrigins{}, nil},
	}
}
