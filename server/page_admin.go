package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/amr"
)

// The admin pages contain no rules. Like the API, they call package admin, which decides. Their credentials are the
// cookies of the account page, never a bearer token.
//
// For each request, the server first checks the session and then the access that the route requires (admin.Need).
// Only then does it read the query or the form. A signed-in user without the role gets the same response as for an
// unknown path.
//
// Errors offer a next step. A missing proof redirects to the step-up and back. A missing account links to the search.
// A refused change shows its form again with the reason.
//
// Each change has a separate page. A GET asks for confirmation and names the account. A POST to the same path makes
// the change. After a step-up, the browser can therefore return to the confirmation, and the change still needs one
// more click. The csrf middleware rejects forms of other sites.

// adminPages has the handlers of the admin pages. The files page_admin*.go contain them.
type adminPages struct{ *pages }

// pathAdminPages is the overview. The paths of all admin pages begin with it.
const pathAdminPages = "/admin"

// An adminPageHandler runs only if the user has the access that the route requires (guardedRoute).
type adminPageHandler func(http.ResponseWriter, *http.Request, admin.Caller) error

// needToRead requires the role admin and a proof of the last hours. needToWrite requires the role and a fresh proof.
// They have no scopes, because scopes are for service keys, which can't open a page.
var (
	needToRead  = admin.Need{}
	needToWrite = admin.Need{Write: true}
)

// guardedRoute redirects a signed-out user to the sign-in, and calls the handler only for a user with the
// required access.
func (p *adminPages) guardedRoute(method, path string, requiredAccess admin.Need, next adminPageHandler) route {
	handle := func(w http.ResponseWriter, r *http.Request) error {
		// If the user follows a link from another site, such as a ticket system, the browser omits the cookies. It
		// sends them when the page loads again.
		if p.isCrossSiteVisit(r) {
			return p.showReload(w, r)
		}
		who, err := p.identifyVisitor(w, r)
		if err != nil {
			return err
		}
		if !who.signedIn {
			p.redirect(w, pathLogin, url.Values{"why": {who.reason}, "return_to": {p.urlToReturnTo(r)}})
			return nil
		}
		// The roles were read from the store for this request, so a removed role counts at once.
		by, err := p.admin.AuthorizeUser(who.Identity, requiredAccess)
		if err != nil {
			return p.respondNoAccess(w, r, who.Identity, err)
		}
		return next(w, r, by)
	}
	return route{method: method, path: path, handle: handle}
}

// urlToReturnTo includes the query of a GET, such as the filters of a search. For a form, it is the URL of the
// confirmation page, which has the same path.
func (p *adminPages) urlToReturnTo(r *http.Request) string {
	if r.Method != http.MethodGet {
		return p.origins.publicURL + r.URL.EscapedPath()
	}
	return p.origins.publicURL + r.URL.RequestURI()
}

// respondNoAccess is for a user who may not see a page. An account without a factor can't reach the level of
// administration by a step-up. Its user gets a page that says to add a factor first.
func (p *adminPages) respondNoAccess(w http.ResponseWriter, r *http.Request, who watchword.Identity, err error) error {
	var refusal *watchword.Error
	if !errors.As(err, &refusal) {
		return err
	}
	p.errors.logRefusal(w, r, refusal)
	// The user sees the same page as for a mistyped path, so the response does not reveal that the page exists. The
	// log has the code and the route.
	switch {
	case refusal.Code == watchword.CodeInsufficientScope:
		return notFound(w, r)
	case refusal.Code != watchword.CodeStepUpRequired || p.factors == nil:
		return refusal
	case who.User.Factors == 0 && refusal.StepUp.ACR != amr.LevelOne:
		return p.show(w, http.StatusForbidden, p.newView(r, "admin-factor"))
	}
	p.redirect(w, pathStepUp, url.Values{"return_to": {p.urlToReturnTo(r)}})
	return nil
}

// adminData is the data of every admin page. The template admin.html shows the reader's address, so that a reader with
// several accounts sees which account is signed in.
type adminData struct {
	Email   watchword.Address
	Section string // marked in the navigation: "overview", or the segment of the path after /admin
	Item    any
}

// fillAdminView sets the title and the data of an admin page. If title is empty, the page shows the text PAGE.title of
// the catalog.
func (p *adminPages) fillAdminView(v *view, r *http.Request, by admin.Caller, title string, item any) *view {
	// The section comes from the path, so that the navigation marks it on the pages of forms, too.
	section, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, pathAdminPages+"/"), "/")
	if r.URL.Path == pathAdminPages {
		section = "overview"
	}
	v.Title, v.Data = title, adminData{by.User.Email, section, item}
	return v
}

// showWithNotice shows a page. After a redirect, the page has the notice that the query parameter done names. Unknown
// names are ignored, and so are names that this server has not set (takeNotice).
func (p *adminPages) showWithNotice(w http.ResponseWriter, r *http.Request, v *view) error {
	if done := "done." + p.takeNotice(w, r, "done"); v.T(done) != done {
		v.Notice = v.T(done)
	}
	return p.show(w, http.StatusOK, v)
}

// redirectWithNotice responds after a change, so that a reload does not repeat the change. The notice is the name of
// a text, so a link can't put arbitrary words on the page.
func (p *adminPages) redirectWithNotice(w http.ResponseWriter, path, notice string) {
	p.redirect(w, cmp.Or(path, pathAdminPages), url.Values{"done": {notice}})
}

// routes is empty without Options.AdminPages. The test TestAdminPagesCheckTheirReader calls every page as every kind
// of user.
func (p *adminPages) routes() (all []route) {
	if p.admin == nil || !p.hasAdminPages {
		return nil
	}
	users := pathAdminPages + "/users"
	all = []route{
		p.guardedRoute("GET", pathAdminPages, needToRead, p.adminOverviewPage),
		p.guardedRoute("GET", pathAdminEvents, needToRead, p.adminEventsPage),
		p.guardedRoute("GET", pathAdminMail, needToRead, p.adminMailPage),
		p.guardedRoute("GET", pathAdminKeys, needToRead, p.adminKeysPage),
		p.guardedRoute("GET", pathAdminServices, needToRead, p.adminServicesPage),
		p.guardedRoute("GET", users, needToRead, p.adminUsersPage),
		p.guardedRoute("GET", users+"/{id}", needToRead, p.adminUserPage),
	}
	// The confirmation page requires the same access as the change. It shows an account only to a user who may change
	// the account.
	for _, c := range p.allChanges() {
		all = append(all, p.guardedRoute("GET", c.path, needToWrite, p.changePage(c)),
			p.guardedRoute("POST", c.path, needToWrite, p.changeForm(c)))
	}
	return all
}
