package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/internal/tokencookie"
)

// These handlers redirect the browser to an external provider, and handle the request with which the browser returns.
// Package federation decides whether the sign-in succeeds.
//
// Each attempt has a separate cookie, so several tabs work at the same time. The cookie is SameSite=Lax, because the
// browser returns from the provider, which is another site. Its value is sealed.

const (
	pathSignInWith = "/sign-in/" // followed by the id of a provider
	maxAttempts    = 5           // attempts at the same time in one browser
)

// attemptCookie has a part of the state in its name, so that each tab has a different cookie.
func (c *cookieSet) attemptCookie(state string) tokencookie.Cookie {
	cookie := c.providerAttempt
	cookie.Name += state[:min(len(state), 8)]
	return cookie
}

// allowForScript changes the attributes so that the browser accepts the cookie for this request. If a script of
// another site sent the request, browsers accept only SameSite=None. The cookie is not partitioned: the browser will
// return from the provider to a page of this site, and would then omit a cookie in the partition of the other site.
func (c *cookieSet) allowForScript(attempt tokencookie.Cookie, r *http.Request) tokencookie.Cookie {
	if c.refresh.Usual.SameSite == http.SameSiteNoneMode && tokencookie.IsEmbedded(r) {
		attempt.SameSite = http.SameSiteNoneMode
	}
	return attempt
}

// storeAttempt uses a separate cookie for each attempt. If there would be more than maxAttempts, it first deletes the
// oldest. Otherwise a page that opens many attempts would fill the browser's request headers.
func (e edge) storeAttempt(w http.ResponseWriter, r *http.Request, started federation.Started) {
	// Each attempt contains its time, because the order of cookies in a header does not tell their age.
	type old struct {
		name    string
		attempt federation.Attempt
	}
	var all []old
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, e.cookies.providerAttempt.Name) {
			opened, _ := e.federation.OpenAttempt(watchword.Secret(cookie.Value)) // invalid cookies sort first
			all = append(all, old{cookie.Name, opened})
		}
	}
	slices.SortFunc(all, func(a, b old) int { return a.attempt.At.Compare(b.attempt.At) })
	// With fewer than maxAttempts cookies, the range is empty.
	for i := range len(all) - maxAttempts + 1 {
		cookie := e.cookies.providerAttempt
		cookie.Name = all[i].name
		e.cookies.allowForScript(cookie, r).Clear(w)
	}
	// Only the state goes into the URL of the provider. The secrets of the attempt are only in the cookie.
	cookie := e.cookies.allowForScript(e.cookies.attemptCookie(started.State), r)
	cookie.Set(w, string(started.Sealed), federation.AttemptLife)
}

// updateAttempts tells the attempts of other tabs that the browser has a new session. If such an attempt signs in
// later, that sign-in ends the session which it replaces, like any other sign-in in the browser.
func (e edge) updateAttempts(w http.ResponseWriter, r *http.Request, in *watchword.SignIn) {
	for _, old := range r.Cookies() {
		cookie := e.cookies.providerAttempt
		// The attempt that has just been completed is skipped. Its cookie is being deleted, and a second Set-Cookie
		// header would restore it.
		sets := func(header string) bool { return strings.HasPrefix(header, old.Name+"=") }
		if !strings.HasPrefix(old.Name, cookie.Name) || slices.ContainsFunc(w.Header()["Set-Cookie"], sets) {
			continue
		}
		cookie.Name = old.Name
		if sealed, left, ok := e.federation.Replacing(watchword.Secret(old.Value), in.RefreshToken); ok {
			cookie.Set(w, string(sealed), left)
		}
	}
}

// startProviderSignIn does not write to the store, so any page may link to it. A link on another site can start a
// sign-in, but the user sees the page of the provider first.
func (p *pages) startProviderSignIn(w http.ResponseWriter, r *http.Request) error {
	challenge, err := p.parseCodeChallenge(r)
	if err != nil {
		return err
	}
	stepUp, err := p.stepUpUser(r)
	if err != nil {
		return err
	}
	request := federation.StartRequest{Provider: r.PathValue("provider"), ReturnTo: p.returnTo(r),
		Page: r.URL.Query().Has("page"), Replaces: p.cookies.tokenToReplace(r, ""), Challenge: challenge,
		Remembered: watchword.Secret(p.cookies.rememberedDevice.Value(r)), StepUp: stepUp}
	started, err := p.federation.Start(r.Context(), request)
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return err
	}
	if err != nil {
		at := federation.Attempt{Provider: request.Provider, ReturnTo: request.ReturnTo, Page: request.Page,
			Challenge: challenge, User: stepUp}
		if done, failure := p.finishCodeAttempt(w, r, federation.Result{Attempt: at}, err); done {
			return failure
		}
		return p.redirectProviderError(w, r, at, err)
	}
	p.storeAttempt(w, r, started)
	p.redirectToOtherSite(w, started.URL)
	return nil
}

// redirectToOtherSite omits the default Cross-Origin-Opener-Policy. In a popup, this policy would separate the popup
// from the page that opened it. That page could then not see whether the user has closed the popup. The response
// needs no such policy, because it has no document to protect.
func (p *pages) redirectToOtherSite(w http.ResponseWriter, target string) {
	w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
	p.redirect(w, target, nil)
}

// finishProviderSignIn always redirects. The redirect keeps the code out of the browser's history, and a reload does
// not repeat the request. The status is 303, because a 307 would repeat a form (RFC 9700, section 4.12).
func (p *pages) finishProviderSignIn(w http.ResponseWriter, r *http.Request) error {
	request, ok := p.readProviderResponse(w, r)
	if !ok {
		// The attempt is unknown, so the error is shown on a page of this server.
		return p.redirectProviderError(w, r, federation.Attempt{Provider: request.Provider, Page: true}, &watchword.Error{
			Code: watchword.CodeChallengeInvalid, Detail: "The response of the provider is not complete. Start again."})
	}
	result, err := p.federation.Callback(r.Context(), request)
	// The provider's authorization code is removed from the query, so that the URL is safe to log. The rest of this
	// function needs only return_to.
	r = r.Clone(r.Context())
	r.URL.RawQuery = ""
	if result.Attempt.ReturnTo != "" {
		r.URL.RawQuery = url.Values{"return_to": {result.Attempt.ReturnTo}}.Encode()
	}
	if done, failure := p.finishCodeAttempt(w, r, result, err); done {
		return failure
	}
	if result.Link != "" {
		p.cookies.identityLink.ForSignIn(r).Set(w, string(result.Link), watchword.ChallengeLife)
	}
	switch {
	case watchword.CodeOf(err) == watchword.CodeNotFound:
		return err
	// If the account needs a second factor, the second step follows, as after a password.
	case p.redirectToSecondStep(w, r, err):
		return nil
	case err != nil:
		// If the attempt's cookie is missing, the attempt has no provider, but the path names it.
		result.Attempt.Provider = request.Provider
		return p.redirectProviderError(w, r, result.Attempt, err)
	case result.Waiting && (result.Attempt.Page || p.returnTo(r) == ""):
		p.redirect(w, pathLogin, p.withReturnTo(r, url.Values{"why": {"mailed"}}))
		return nil
	case result.Waiting:
		p.redirectToOtherSite(w, withErrorFragment(p.returnTo(r), watchword.CodeEmailNotVerified))
		return nil
	case result.Linked:
		p.redirectAfterLink(w, r, result)
		return nil
	}
	p.cookies.setPageSessionCookies(w, r, result.SignIn)
	p.redirectToOtherSite(w, p.signInTarget(r))
	return nil
}

// redirectProviderForm redirects the form of a provider to a GET of the same path. The handler of the GET makes all
// checks. The redirect is needed because browsers send a Lax cookie with the GET, but not with the form of another
// site. redirectProviderForm rejects a form from a provider that does not use forms.
func (p *pages) redirectProviderForm(w http.ResponseWriter, r *http.Request) error {
	sends := func(i federation.Info) bool { return i.FormPost && i.ID == r.PathValue("provider") }
	if !slices.ContainsFunc(p.federation.Providers(), sends) {
		return notFound(w, r)
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	// The handler of the GET checks the values. readForm has already rejected repeated fields.
	query := url.Values{}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if form.Has(name) {
			query.Set(name, form.Get(name))
		}
	}
	// The name is not signed but harmless. The email address in the field user is ignored.
	if name := parseAppleName(form.Get("user")); name != "" {
		query.Set("name", name)
	}
	p.redirect(w, r.URL.Path, query)
	return nil
}

// parseAppleName reads the field user of Apple's form. Apple sends this field only at the first sign-in.
func parseAppleName(user string) string {
	var body struct {
		Name struct{ FirstName, LastName string }
	}
	// A malformed field counts as no name, because the sign-in does not depend on it.
	if json.Unmarshal([]byte(user), &body) != nil {
		return ""
	}
	return strings.TrimSpace(body.Name.FirstName + " " + body.Name.LastName)
}

// redirectAfterLink returns to the page that asked to connect the provider: a front-end, or the account page. The
// account page shows a notice that the provider is connected.
func (p *pages) redirectAfterLink(w http.ResponseWriter, r *http.Request, result federation.Result) {
	if target := p.returnTo(r); target != "" && !result.Attempt.Page {
		p.redirectToOtherSite(w, target)
		return
	}
	p.redirectToAccount(w, r, "linked")
}

// readProviderResponse reads the query with which the browser returns, and deletes the cookie of the attempt. It
// returns false for a malformed response. A response with two values of a parameter is malformed, because a filter in
// front of the server could read the other value.
func (p *pages) readProviderResponse(
	w http.ResponseWriter, r *http.Request,
) (request federation.CallbackRequest, ok bool) {
	query := r.URL.Query()
	request = federation.CallbackRequest{Provider: r.PathValue("provider"), State: query.Get("state"),
		Error: query.Get("error"), Client: p.clients.readClient(w, r),
		Response: federation.Response{Code: watchword.Secret(query.Get("code")), Issuer: query.Get("iss")}}
	for _, info := range p.federation.Providers() {
		// Only a provider that sends forms passes an unsigned name. For other providers, the name in the query is
		// ignored.
		if info.ID == request.Provider && info.FormPost {
			request.Name = query.Get("name")
		}
	}
	cookie := p.cookies.attemptCookie(request.State)
	request.Sealed = watchword.Secret(cookie.Value(r))
	if len(cookie.Values(r)) > 0 {
		cookie.Clear(w)
	}
	// error_description and other parameters are ignored, because a stranger can write any text
	// there.
	for _, name := range []string{"state", "code", "error", "iss", "name"} {
		if len(query[name]) > 1 {
			return request, false
		}
	}
	return request, request.State != "" && (request.Code == "") != (request.Error == "")
}

// redirectProviderError returns to the page that began the attempt. A front-end gets the error code in the fragment.
// A page of this server shows what to do next.
func (p *pages) redirectProviderError(w http.ResponseWriter, r *http.Request, a federation.Attempt, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return err
	}
	// The cause is logged for the operator. Users see only which provider failed.
	_ = p.logAndHideCause(w, err)
	p.errors.logRefusal(w, r, refusal)
	if target := p.returnTo(r); target != "" && !a.Page {
		p.redirectToOtherSite(w, withErrorFragment(target, refusal.Code))
		return nil
	}
	code := string(refusal.Code)
	var failure *federation.Failure
	if errors.As(err, &failure) && failure.Reason != "" {
		code = failure.Reason
	}
	// The page checks the code and the provider again, because they are in the URL.
	query := url.Values{"why": {"provider"}, "code": {code}, "with": {a.Provider}}
	// A signed-in user returns to the page that began the attempt, and not to the sign-in page. On the sign-in page,
	// an identity that is not connected could create another account.
	path := pathLogin
	switch {
	case a.Links():
		path = pathAccount
	case a.User != "":
		path = pathStepUp
	}
	p.redirect(w, path, p.withReturnTo(r, query))
	return nil
}

// withErrorFragment puts the error code into the fragment of a front-end's URL, because fragments are not sent to
// servers. A script of the front-end reads the code and removes the fragment.
func withErrorFragment(target string, code watchword.Code) string {
	target, _, _ = strings.Cut(target, "#")
	return target + "#error=" + string(code)
}

// showProviderError shows once why an attempt that began on this page has failed.
func (p *pages) showProviderError(w http.ResponseWriter, r *http.Request, v *view) {
	if p.federation != nil && p.takeNotice(w, r, "why") == "provider" {
		v.Problem = v.providerErrorText(r, p.federation.Providers())
	}
}

// providerErrorText returns the text of the error code, with the name of the provider. The notice cookie proves that
// this server made the redirect.
func (v *view) providerErrorText(r *http.Request, offered []federation.Info) string {
	code, id := r.URL.Query().Get("code"), r.URL.Query().Get("with")
	// Only known codes and ids select a text, so a link can't put its own text on the page.
	name, named := v.T("provider.unnamed"), false
	for _, info := range offered {
		if info.ID == id {
			name, named = info.Name, true
		}
	}
	for _, key := range []string{"provider." + code, "error." + code} {
		if text, known := v.catalog.Texts[v.langIndex][key]; known {
			text = strings.ReplaceAll(strings.ReplaceAll(text, "{provider}", name), "{wait}", v.T("duration.minute"))
			if !named { // the text may begin with "the provider", so it needs an upper-case letter
				first, size := utf8.DecodeRuneInString(text)
				text = string(unicode.ToUpper(first)) + text[size:]
			}
			return text
		}
	}
	return v.T("error.INTERNAL")
}

// A providerButton is a link to a provider. Operators' templates use its fields.
type providerButton struct {
	ID, Name, Kind string
	URL            string
}

// Providers returns the buttons of the sign-in and sign-up pages.
func (v *view) Providers() (all []providerButton) {
	// The query parameter "page" names the page with the button. If the attempt fails, the browser returns to this
	// page. Without the parameter, it would return to the front-end.
	for _, info := range v.offeredProviders {
		query := url.Values{"page": {v.Page}}
		if v.ReturnTo != "" {
			query.Set("return_to", v.ReturnTo)
		}
		address := pathSignInWith + info.ID + "?" + query.Encode()
		all = append(all, providerButton{info.ID, info.Name, string(info.Kind), address})
	}
	return all
}

// providerRoutes is empty without Options.Federation. Operators register these paths at providers, so they must not
// change.
func (p *pages) providerRoutes() []route {
	if p.federation == nil {
		return nil
	}
	// A provider returns the browser with a GET. It can also use a form, which redirectProviderForm redirects to the
	// GET. The state in the query protects against forged requests, as the check of the origin does for other forms.
	return []route{
		{method: "GET", path: pathSignInWith + "{provider}", handle: p.startProviderSignIn},
		{method: "GET", path: pathSignInWith + "{provider}/callback", handle: p.finishProviderSignIn},
		{method: "POST", path: pathSignInWith + "{provider}/callback", handle: p.redirectProviderForm},
	}
}
