package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes show external providers in the API. The sign-in itself starts on a page of this server, because the
// browser has to leave the front-end anyway (page_provider.go).

// A providersAnswer has the providers in the order of the configuration, for the buttons of a
// front-end.
type providersAnswer struct {
	Providers []providerAnswer `json:"providers" nullable:"false"`
}

// A providerAnswer describes a provider. Its member kind selects the icon of a button.
type providerAnswer struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Kind string `json:"kind" enum:"google,github,microsoft,apple,oidc"`
	URL  string `json:"url" format:"uri" doc:"Open it in the browser, with return_to"`
}

// listProviders responds without a sign-in, because a sign-in page needs the list. The list comes from
// the configuration, so a provider that is down does not slow the page.
func (a *api) listProviders(w http.ResponseWriter, _ *http.Request) error {
	answer := providersAnswer{Providers: []providerAnswer{}}
	for _, info := range a.federation.Providers() {
		answer.Providers = append(answer.Providers, providerAnswer{
			info.ID, info.Name, string(info.Kind), a.origins.publicURL + pathSignInWith + info.ID})
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// An identitiesAnswer has no cursor: the engine bounds the identities of an account.
type identitiesAnswer struct {
	Identities []identityAnswer `json:"identities" nullable:"false"`
}

// An identityAnswer describes a connected account at a provider. The email address is that of the provider and may
// differ from the address on this server. Each sign-in at the provider updates it.
type identityAnswer struct {
	ID         string     `json:"id" format:"uuid"`
	Provider   string     `json:"provider" doc:"Its id in /providers"`
	Email      string     `json:"email,omitempty" doc:"At the provider"`
	LinkedAt   time.Time  `json:"linkedAt"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty" doc:"Time of its last use"`
}

// listIdentities needs no fresh session, because the list has no secret.
func (a *api) listIdentities(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	all, err := a.readIdentities(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, identitiesAnswer{all})
}

// readIdentities returns an empty list on a server without providers. It omits the subject, the provider's id of the
// user: users don't know it and recognize the address instead.
func (e edge) readIdentities(ctx context.Context, id watchword.UserID) ([]identityAnswer, error) {
	rows := []identityAnswer{}
	if e.federation == nil {
		return rows, nil
	}
	all, err := e.federation.List(ctx, id)
	for _, one := range all {
		row := identityAnswer{ID: one.ID, Provider: one.Provider, Email: one.Email, LinkedAt: one.LinkedAt}
		// An identity that has never been used has a zero time, which is omitted.
		if !one.LastUsedAt.IsZero() {
			row.LastUsedAt = &one.LastUsedAt
		}
		rows = append(rows, row)
	}
	return rows, err
}

// A linkBody is optional. Without it, the browser returns to the account page.
type linkBody struct {
	ReturnTo string `json:"returnTo,omitempty" doc:"A page on the public URL or on an allowed origin"`
}

// A startedAnswer has the URL of the provider's page. The front-end must open it in the same browser,
// because the cookie of the attempt is there.
type startedAnswer struct {
	URL string `json:"url" format:"uri"`
}

// startIdentityLink starts to connect a provider to the account. The front-end must send the request with
// credentials, so that the browser stores the cookie of the attempt.
func (a *api) startIdentityLink(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	body, err := apirequest.OptionalBody[linkBody](r)
	if err != nil {
		return err
	}
	// The HTML pages ignore a target that is not allowed. The API returns an error, so that the author of a client
	// sees the mistake.
	if body.ReturnTo != "" && (len(body.ReturnTo) > maxReturnTo || !a.origins.mayRedirectTo(body.ReturnTo)) {
		return invalidField("returnTo", watchword.FieldInvalid, "Name a page on the public URL or on an allowed origin.")
	}
	started, err := a.federation.StartLink(r.Context(), federation.LinkRequest{
		Provider: r.PathValue("provider"), Who: who, ReturnTo: body.ReturnTo, Page: body.ReturnTo == ""})
	if err != nil {
		return a.logAndHideCause(w, err)
	}
	// The response sets a cookie of this host. A browser that blocks third-party cookies does not keep it for a
	// front-end on another site.
	a.storeAttempt(w, r, started)
	// The URL has the state, which is useless without the cookie of this browser.
	return respond.JSON(w, http.StatusOK, startedAnswer{started.URL})
}

// unlinkIdentity disconnects a provider. The engine refuses to remove the last way to sign in. No session ends, not
// even one that began with a sign-in at this provider. Sessions belong to the account, and its owner can end them.
func (a *api) unlinkIdentity(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := a.federation.Unlink(r.Context(), who, r.PathValue("id"), a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The account is disconnected."})
}

// logAndHideCause logs for operators why a provider failed. It returns the refusal for users, which says only that
// the provider failed. It returns any other error unchanged.
func (e edge) logAndHideCause(w http.ResponseWriter, err error) error {
	var failure *federation.Failure
	if errors.As(err, &failure) {
		e.errors.log.Warn("a provider failed", slog.String("request_id", w.Header().Get(requestIDHeader)),
			slog.String("provider", failure.Provider), slog.Any("error", failure.Cause))
		return failure.Refusal
	}
	return err
}

// connectWaitingIdentity connects a provider to the account that this browser has just signed in to. An earlier
// sign-in at this provider failed with LINK_REQUIRED and set the link cookie. If the connection fails, the new
// session continues, because the user can connect the provider later.
func (e edge) connectWaitingIdentity(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	if len(e.cookies.identityLink.Values(r)) == 0 {
		return
	}
	// The link cookie works for one sign-in. If a request has two such cookies, another host of the domain may have
	// set one of them, so the server ignores both.
	e.cookies.identityLink.Clear(w)
	handle := watchword.Secret(e.cookies.identityLink.Presented(r).Value(r))
	if _, err := e.federation.FinishLink(r.Context(), handle, in, e.clients.readClient(w, r)); err != nil {
		e.errors.logUnavailable(w, r, err)
	}
}

// identityRoutes is empty without Options.Federation.
func (a *api) identityRoutes() []route {
	if a.federation == nil {
		return nil
	}
	// The list is public, because the sign-in page shows it anyway.
	return []route{
		{"GET", pathAPI + "/providers", a.listProviders, public, "List the providers for a sign-in with others",
			nil, 200, providersAnswer{}, nil},
		{"POST", pathAPI + "/exchange", a.exchangeCode, public,
			"Exchange the code of a sign-in with others, for an application that renders on its server",
			exchangeBody{}, 200, signedInBody{}, exchangeErrorCodes()},
		{"GET", pathAPI + "/identities", a.requireToken(a.listIdentities), bearer, "List your accounts at providers",
			nil, 200, identitiesAnswer{}, nil},
		{"POST", pathAPI + "/identities/{provider}", a.requireToken(a.startIdentityLink), bearer,
			"Begin to connect an account at a provider", linkBody{}, 200, startedAnswer{},
			[]watchword.Code{watchword.CodeValidationFailed, watchword.CodeNotFound, watchword.CodeStepUpRequired,
				watchword.CodeEmailNotVerified, watchword.CodeFactorLimit, federation.CodeProviderUnavailable}},
		{"DELETE", pathAPI + "/identities/{id}", a.requireToken(a.unlinkIdentity), bearer,
			"Disconnect an account at a provider", nil, 200, messageBody{},
			[]watchword.Code{watchword.CodeStepUpRequired, watchword.CodeNotFound, watchword.CodeLastWayIn}},
	}
}
