package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
)

// The account page lists the connected accounts, which are the user's identities at providers. This file also handles
// the verification link of a sign-up that uses a provider instead of a password.

// pathIdentities is a prefix of paths. The path that connects a provider ends with the provider's id. The path that
// removes an identity ends with the identity's id and /remove.
const pathIdentities = pathAccount + "/identities/"

// actionProvider is a prefix of the form field "action" on the page of a verification link. The rest of the value is
// the id of the provider with which the user continues.
const actionProvider = "provider:"

// connectedSection is the data of the account page about providers. Operators' templates use its fields.
type connectedSection struct {
	Accounts []connectedAccount
	Addable  []federation.Info // providers that can be connected
	Unproven bool              // the address must be verified before a provider can be connected
}

// A connectedAccount is one row of the list of connected accounts.
type connectedAccount struct {
	ID, Name, Email string
	Kind            string // kind of the provider; "" if the provider was removed from the configuration
	Since, Used     time.Time
}

// Marked reports whether the page shows a logo of the provider. The server has logos only for the providers that it
// knows by name.
func (c connectedAccount) Marked() bool { return c.Kind != "" && c.Kind != string(federation.KindOIDC) }

// readConnectedSection returns nil if the server has no providers. It also lists identities of providers that the
// operator has removed, so that their owner can disconnect them.
func (p *accountPages) readConnectedSection(r *http.Request, who watchword.Identity) (*connectedSection, error) {
	if p.federation == nil {
		return nil, nil
	}
	// The list is read in a separate transaction, like the other parts of the page.
	all, err := p.federation.List(r.Context(), who.User.ID)
	if err != nil {
		return nil, err
	}
	// Only an account with a verified address can connect a provider. Otherwise the owner of the address could later
	// take the account over.
	section := &connectedSection{Unproven: !who.User.Verified()}
	section.Accounts = p.connectedRows(all)
	for _, info := range p.federation.Providers() {
		// The page offers only one identity for each provider, to stay simple. Through the API, an account can
		// connect a second identity of the same provider.
		if !hasProvider(all, info) && !section.Unproven {
			section.Addable = append(section.Addable, info)
		}
	}
	return section, nil
}

// hasProvider reports whether the account is connected to a provider. It compares the ids of providers in the settings,
// because an operator can change the name of a provider.
func hasProvider(all []federation.Identity, info federation.Info) bool {
	return slices.ContainsFunc(all, func(i federation.Identity) bool { return i.Provider == info.ID })
}

// connectedRows converts identities to rows. The account page and the administrator's page of an account show them.
func (p *pages) connectedRows(all []federation.Identity) (rows []connectedAccount) {
	kinds := map[string]string{}
	for _, info := range p.federation.Providers() {
		kinds[info.ID] = string(info.Kind)
	}
	for _, one := range all {
		rows = append(rows, connectedAccount{one.ID, p.federation.Name(one), one.Email, kinds[one.Provider],
			one.LinkedAt, one.LastUsedAt})
	}
	return rows
}

// forwardToProvider shows a page that forwards to a provider. It can't redirect, because the response belongs to a
// form, and browsers apply form-action of the Content-Security-Policy to the redirects of a form.
func (p *pages) forwardToProvider(w http.ResponseWriter, r *http.Request, started federation.Started) error {
	p.storeAttempt(w, r, started)
	// The page has a link as well, for browsers that don't follow its <meta> refresh.
	v := p.newView(r, "again")
	v.Title, v.Data = v.T("error.moment"), started.URL
	return p.show(w, http.StatusOK, v)
}

// connectForm connects a provider. It requires a form, because the csrf middleware rejects forms from other sites.
// With a GET, another site could connect an attacker's identity to the account.
func (p *accountPages) connectForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	started, err := p.federation.StartLink(r.Context(), federation.LinkRequest{
		Provider: r.PathValue("provider"), Who: who, ReturnTo: p.returnTo(r), Page: true})
	if p.redirectToStepUp(w, r, pathAccount, err) {
		return nil
	}
	if err != nil {
		return p.refuseConnection(w, r, who, r.PathValue("provider"), err)
	}
	return p.forwardToProvider(w, r, started)
}

// refuseConnection shows on the account page why a provider was not connected or disconnected.
func (p *accountPages) refuseConnection(
	w http.ResponseWriter, r *http.Request, who watchword.Identity, provider string, err error,
) error {
	// If the provider is unavailable, the message contains the name of the provider, as after a failed sign-in.
	if watchword.CodeOf(err) == federation.CodeProviderUnavailable {
		return p.redirectProviderError(w, r, federation.LinkAttempt(provider), err)
	}
	return p.refuseFactorChange(w, r, who, err)
}

// disconnectPage asks for confirmation before an identity is removed.
func (p *accountPages) disconnectPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := p.federation.Fresh(who); err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	all, err := p.federation.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	// An identity of another account gets the same 404 as an unknown identity.
	i := slices.IndexFunc(all, func(one federation.Identity) bool { return one.ID == r.PathValue("id") })
	if i < 0 {
		return notFound(w, r)
	}
	v := p.newView(r, "confirm")
	v.Title = v.T("disconnect.title")
	v.Data = confirmData{Path: pathIdentities + all[i].ID + "/remove", Name: p.federation.Name(all[i]),
		Text: v.T("disconnect.text"), Button: v.T("identities.remove"), Danger: true}
	return p.show(w, http.StatusOK, v)
}

// disconnectForm removes an identity. The engine refuses to remove the last way to sign in.
func (p *accountPages) disconnectForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	// Unlink checks again that the session is fresh, because the page may have been open for an hour.
	if err := p.federation.Unlink(r.Context(), who, r.PathValue("id"), p.clientWithReturn(w, r)); err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	p.redirectToAccount(w, r, "unlinked")
	return nil
}

// verifyWithProvider continues a verification link with a sign-in at a provider. If a sign-up began at a provider, it
// has no password. To complete such a sign-up, the user signs in with the same identity.
func (p *pages) verifyWithProvider(w http.ResponseWriter, r *http.Request, in linkInput) error {
	// The token stays valid until the account exists. The user can thus return and choose another way.
	provider, _ := strings.CutPrefix(in.form.Get("action"), actionProvider)
	started, err := p.federation.StartVerify(r.Context(), federation.StartRequest{Provider: provider,
		ReturnTo: p.returnTo(r), Page: true, Replaces: p.cookies.tokenToReplace(r, ""),
		Remembered: in.client.Remembered}, in.token)
	if err != nil {
		return err
	}
	return p.forwardToProvider(w, r, started)
}

// limitToOwnProviders removes the buttons of providers that are not connected to the account from the page of a
// step-up. The step-up accepts only identities of this account (stepUpUser).
func (p *accountPages) limitToOwnProviders(r *http.Request, v *view, who watchword.Identity) error {
	all, err := p.federation.List(r.Context(), who.User.ID)
	v.offeredProviders = slices.DeleteFunc(v.offeredProviders,
		func(info federation.Info) bool { return !hasProvider(all, info) })
	return err
}

// stepUpUser returns the account for which the browser begins a step-up at a provider. The step-up accepts only an
// identity of this account. If the request is not for a step-up or has no live session, stepUpUser returns "".
func (p *pages) stepUpUser(r *http.Request) (watchword.UserID, error) {
	if r.URL.Query().Get("page") != "step-up" {
		return "", nil
	}
	live, err := p.engine.LiveSessions(r.Context(), p.cookies.presentedPageTokens(r))
	if err != nil || len(live) == 0 {
		return "", err
	}
	return live[len(live)-1].User.ID, nil // the last token is that of the page cookie, which pages prefer
}

// wantsProviderVerification is false on a server without providers, even for a forged action.
func (p *pages) wantsProviderVerification(link mailLinkPage, form url.Values) bool {
	return p.federation != nil && link.kind == watchword.MailVerify &&
		strings.HasPrefix(form.Get("action"), actionProvider)
}

// prefillLinkAddress fills in the address on the sign-in page if a provider's identity waits to be connected to an
// account. The address is that of the account, so the user only has to enter the password.
func (p *pages) prefillLinkAddress(r *http.Request, v *view) {
	handle := p.cookies.identityLink.Presented(r).Value(r)
	if p.federation == nil || handle == "" {
		return
	}
	// If the waiting connection has expired, the page asks for an address as usual.
	if pending, err := p.federation.PendingLink(r.Context(), watchword.Secret(handle)); err == nil {
		v.withValues("login", url.Values{"email": {string(pending.Email)}})
	}
}

// identityRoutes is empty without Options.Federation.
func (p *accountPages) identityRoutes() []route {
	if p.federation == nil {
		return nil
	}
	return []route{
		{method: "POST", path: pathIdentities + "{provider}", handle: p.requireSignIn(p.connectForm)},
		{method: "GET", path: pathIdentities + "{id}/remove", handle: p.requireSignIn(p.disconnectPage)},
		{method: "POST", path: pathIdentities + "{id}/remove", handle: p.requireSignIn(p.disconnectForm)},
	}
}
