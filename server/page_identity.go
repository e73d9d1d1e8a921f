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

// Connected accounts: the identities of a user on the account page, and the mailed link of a sign-up
// with a provider.

// pathIdentities is followed by the id of a provider, or by the id of an identity and /remove.
const pathIdentities = pathAccount + "/identities/"

// actionProvider begins the value of the field "action" that continues a mailed link with a provider.
const actionProvider = "provider:"

// connected is the data of the account page about providers. Operators' templates use its fields.
type connected struct {
	Accounts []connectedAccount
	Addable  []federation.Info // providers to connect
	Unproven bool              // the address must be proven first
}

// A connectedAccount is one row of the list.
type connectedAccount struct {
	ID, Name, Email string
	Kind            string // of the provider; empty: it was removed
	Since, Used     time.Time
}

// Marked reports whether the page has a logo of the provider, as for the big providers.
func (c connectedAccount) Marked() bool { return c.Kind != "" && c.Kind != string(federation.KindOIDC) }

// connectedOf returns the section of the account page, or nil without providers. It lists even
// identities of a provider that the operator has removed, so that their owner can disconnect
// them.
func (p *accountPages) connectedOf(r *http.Request, who watchword.Identity) (*connected, error) {
	if p.federation == nil {
		return nil, nil
	}
	// The list is read in a separate transaction, like the other parts of the page.
	all, err := p.federation.List(r.Context(), who.User.ID)
	if err != nil {
		return nil, err
	}
	// Only an account with a proven address can connect a provider, because the owner of an unproven
	// address could still take the account back.
	section := &connected{Unproven: !who.User.Verified()}
	section.Accounts = p.connectedAccounts(all)
	// The buttons have the order of the settings.
	for _, info := range p.federation.Providers() {
		// The API can connect a second account of a provider. The page offers only one, to stay
		// simple.
		if !hasProvider(all, info) && !section.Unproven {
			section.Addable = append(section.Addable, info)
		}
	}
	return section, nil
}

// hasProvider reports whether one of the identities is of a provider.
func hasProvider(all []federation.Identity, info federation.Info) bool {
	return slices.ContainsFunc(all, func(i federation.Identity) bool { return i.Provider == info.ID })
}

// connectedAccounts returns the rows of identities, for the account page and for the page of
// an administrator.
func (p *pages) connectedAccounts(all []federation.Identity) (rows []connectedAccount) {
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

// forwardToProvider shows a page that forwards to a provider. A redirect is not possible, because browsers
// apply form-action of the Content-Security-Policy to the redirects of a form.
func (p *pages) forwardToProvider(w http.ResponseWriter, r *http.Request, started federation.Started) error {
	p.setAttempt(w, r, started)
	// The page has a link as well, for browsers that don't follow the refresh.
	v := p.newView(r, "again")
	v.Title, v.Data = v.T("error.moment"), started.URL
	return p.show(w, http.StatusOK, v)
}

// connectForm begins a link. It is a form and not a link, because another site must not
// connect an identity of its choice. The csrf middleware rejects forms of other sites.
func (p *accountPages) connectForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	started, err := p.federation.StartLink(r.Context(), federation.LinkRequest{
		Provider: r.PathValue("provider"), Who: who, ReturnTo: p.returnTo(r), Page: true})
	if p.stepUpFirst(w, r, pathAccount, err) {
		return nil
	}
	if err != nil {
		return p.refuseConnected(w, r, who, r.PathValue("provider"), err)
	}
	return p.forwardToProvider(w, r, started)
}

// refuseConnected shows the account page with the reason.
func (p *accountPages) refuseConnected(
	w http.ResponseWriter, r *http.Request, who watchword.Identity, provider string, err error,
) error {
	// The message names the provider, so it is shown like a failed response of the provider.
	if watchword.CodeOf(err) == federation.CodeProviderUnavailable {
		return p.providerFailed(w, r, federation.LinkAttempt(provider), err)
	}
	return p.refuseFactor(w, r, who, err)
}

// disconnectPage asks before an identity is removed.
func (p *accountPages) disconnectPage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := p.federation.Fresh(who); err != nil {
		return p.refuseFactor(w, r, who, err)
	}
	all, err := p.federation.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	// The identity of another account gets the same 404 as an unknown identity.
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
	// The form checks again that the session is fresh, because the page may have been open for
	// an hour.
	if err := p.federation.Unlink(r.Context(), who, r.PathValue("id"), p.client(w, r)); err != nil {
		return p.refuseFactor(w, r, who, err)
	}
	// The account page no longer lists the identity.
	p.done(w, r, "unlinked")
	return nil
}

// verifyWith continues a mailed link with a provider. A sign-up that began with an identity
// has no password, and the same identity completes it.
func (p *pages) verifyWith(w http.ResponseWriter, r *http.Request, in linkInput) error {
	// The token stays valid until the account exists, so the user can return and choose another way
	// to continue.
	provider, _ := strings.CutPrefix(in.form.Get("action"), actionProvider)
	started, err := p.federation.StartVerify(r.Context(), federation.StartRequest{Provider: provider,
		ReturnTo: p.returnTo(r), Page: true, Replaces: p.cookies.replaced(r, ""), Remembered: in.client.Remembered}, in.token)
	if err != nil {
		return err
	}
	return p.forwardToProvider(w, r, started)
}

// offerConnected shows only the buttons of the account's own providers on the page of a step-up. Identities of
// other accounts are refused (stepUpUser).
func (p *accountPages) offerConnected(r *http.Request, v *view, who watchword.Identity) error {
	all, err := p.federation.List(r.Context(), who.User.ID)
	v.offered = slices.DeleteFunc(v.offered, func(info federation.Info) bool { return !hasProvider(all, info) })
	return err
}

// stepUpUser returns the account that a provider confirms, if the page of the step-up started the attempt. It
// is "" without a session.
func (p *pages) stepUpUser(r *http.Request) (watchword.UserID, error) {
	if r.URL.Query().Get("page") != "step-up" {
		return "", nil
	}
	live, err := p.engine.LiveSessions(r.Context(), p.cookies.presentedToPage(r))
	if err != nil || len(live) == 0 {
		return "", err
	}
	return live[len(live)-1].User.ID, nil // the page cookie is the last one, and pages prefer it
}

// isVerifyWith reports whether the form behind a link continues with a provider.
func (p *pages) isVerifyWith(link linkPage, form url.Values) bool {
	return p.federation != nil && link.kind == watchword.MailVerify &&
		strings.HasPrefix(form.Get("action"), actionProvider)
}

// expectLink fills in the address of the account to which a stopped sign-in will be connected. The
// reader can thus enter the password on the same page.
func (p *pages) expectLink(r *http.Request, v *view) {
	handle := p.cookies.link.Presented(r).Value(r)
	if p.federation == nil || handle == "" {
		return
	}
	// If the link has expired, the page stays unchanged.
	if pending, err := p.federation.PendingLink(r.Context(), watchword.Secret(handle)); err == nil {
		v.filled("login", url.Values{"email": {string(pending.Email)}})
	}
}

// identityRoutes returns the forms of connected accounts: none without Options.Federation.
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
