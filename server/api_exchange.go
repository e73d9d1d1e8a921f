package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// An application that renders on its server exchanges a code for tokens, and keeps the tokens in its own cookies.
// Package federation has the rules (federation/exchange.go).

// parseCodeChallenge returns the code_challenge of a request that starts a sign-in, or "" if the request has none. It
// rejects a malformed code_challenge. If it ignored one, the user would sign in to this server, but the application
// would get no code. The method must be S256. The default of RFC 7636, plain, does not protect a code.
func (p *pages) parseCodeChallenge(r *http.Request) (string, error) {
	query := r.URL.Query()
	if !query.Has("code_challenge") && !query.Has("code_challenge_method") {
		return "", nil
	}
	challenge, method := query["code_challenge"], query["code_challenge_method"]
	if len(challenge) != 1 || len(method) != 1 || method[0] != "S256" || !federation.IsCodeChallenge(challenge[0]) {
		return "", invalidField("code_challenge", watchword.FieldInvalid,
			"Send one code_challenge, and code_challenge_method=S256.")
	}
	// The code is sent only to the page return_to.
	if p.returnTo(r) == "" {
		return "", invalidField("return_to", watchword.FieldInvalid,
			"Name a page of the application, on an allowed origin.")
	}
	return challenge[0], nil
}

// redirectToApplication puts the code or the error into the query, because a fragment does not reach the
// application's server. The code is useless without its verifier.
func (p *pages) redirectToApplication(
	w http.ResponseWriter, a federation.Attempt, code watchword.Secret, err error,
) error {
	var refusal *watchword.Error
	if err != nil && !errors.As(err, &refusal) {
		return err
	}
	// url.Parse would reject some URLs that browsers accept. An error would be too late here, because the account may
	// exist already. The target was checked earlier and has no fragment.
	target, parameters, _ := strings.Cut(a.ReturnTo, "?")
	// The application's own parameters stay, because it may need them. Parameters named code or error are
	// deleted, because the application would take them for a result.
	query, _ := url.ParseQuery(parameters) // drops malformed ones
	query.Del("code")
	query.Del("error")
	if refusal != nil {
		query.Set("error", string(refusal.Code))
	} else {
		query.Set("code", string(code))
	}
	p.redirectToOtherSite(w, target+"?"+query.Encode())
	return nil
}

// An exchangeBody has a code and its verifier. The hash of the verifier must be the code_challenge of the request
// that started the sign-in.
type exchangeBody struct {
	Code     string `json:"code" doc:"From the query of the return"`
	Verifier string `json:"verifier" doc:"Its SHA-256 was the code_challenge (RFC 7636)"`
	Delivery string `json:"delivery,omitempty" enum:"cookie,body" doc:"Where to return the refresh token. Default: cookie"`
}

// exchangeCode responds like a sign-in with a password. After LINK_REQUIRED, it sets the link cookie. The next sign-in
// with this cookie connects the provider to the account.
func (a *api) exchangeCode(w http.ResponseWriter, r *http.Request) error {
	body, err := apirequest.Body[exchangeBody](r)
	if err != nil {
		return err
	}
	if err := checkDelivery(body.Delivery); err != nil {
		return err
	}
	// If the request comes from a trusted proxy, its headers describe the browser. The rate limits then count the
	// browser's address, and the session shows the browser's user agent.
	done, err := a.federation.Exchange(r.Context(), federation.ExchangeRequest{
		Code: watchword.Secret(body.Code), Verifier: watchword.Secret(body.Verifier),
		Client: a.clients.readClient(w, r), Replaces: a.cookies.tokenToReplace(r, body.Delivery)})
	// A client with delivery "body" has no cookies, so its user connects the provider on the account page.
	if done.Link != "" && body.Delivery != deliveryBody {
		a.cookies.identityLink.ForSignIn(r).Set(w, string(done.Link), watchword.ChallengeLife)
	}
	if err != nil {
		return a.deliverChallenge(w, r, err, body.Delivery) // as after a sign-in with a password
	}
	return a.respondSignIn(w, r, http.StatusOK, done.SignIn, body.Delivery)
}

// exchangeErrorCodes are those of a sign-in with a password, without the code for a wrong password. An exchange can
// also return LINK_REQUIRED and CHALLENGE_INVALID. A used code, an expired code and a wrong verifier all get
// CHALLENGE_INVALID, so that a thief does not learn the reason.
func exchangeErrorCodes() []watchword.Code {
	return []watchword.Code{watchword.CodeValidationFailed, watchword.CodeRateLimited, watchword.CodeTryLater,
		watchword.CodeChallengeInvalid, federation.CodeLinkRequired, watchword.CodeEmailNotVerified,
		watchword.CodeAccountDisabled, watchword.CodeSecondFactorRequired, watchword.CodeEnrolmentRequired}
}

// finishCodeAttempt redirects the browser to the application that requested a code. If no application requested a
// code, it does nothing and returns false.
func (p *pages) finishCodeAttempt(
	w http.ResponseWriter, r *http.Request, result federation.Result, err error,
) (done bool, failure error) {
	if result.Attempt.Challenge == "" {
		return false, nil
	}
	// This sign-up is complete only after the user has opened the mailed link. The link leads to the hosted pages, so
	// the user has to start the sign-in to the application again.
	if result.Waiting {
		err = &watchword.Error{Code: watchword.CodeEmailNotVerified}
	}
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		_ = p.logAndHideCause(w, err) // only the operator sees the cause
		p.errors.logRefusal(w, r, refusal)
	}
	return true, p.redirectToApplication(w, result.Attempt, result.Code, err)
}
