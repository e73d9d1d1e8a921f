package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect"
	"github.com/watchword-auth/watchword/internal/apiexample"
	"github.com/watchword-auth/watchword/internal/apirequest"
)

// The documentation page /docs is created from the same table of routes as the OpenAPI document. The Go types of the
// bodies determine the documented members and examples, so they can't differ from the responses. Only the chapters
// about authentication and errors are written by hand, in the template and in package apiexample.

// docGroup is a section of the page with routes of one subject.
type docGroup struct {
	Name, Title, Intro string
	Routes             []docRoute
}

// docRoute is the data of one route for the template. It contains only text, so that the template
// needs no functions.
type docRoute struct {
	ID, Method, Path, Summary, Guard string
	Parameters, Members, Answer      []apiexample.Member
	Curl, Response                   string
	Status                           int
	StatusText                       string
	Refusals                         []docRefusal
}

// docRefusal is a status of error responses, with the error codes that have this status. The page lists the status
// first, because curl and other clients show it first.
type docRefusal struct {
	Status int
	Codes  []string
}

// docCode is one row of the table of error codes. The advice is for the author of a client. The detail in a response
// is for the client's user.
type docCode struct {
	Code   watchword.Code
	Status int
	Advice string
}

// docData is the data of the page. It does not change while the server runs.
type docData struct {
	Groups      []docGroup
	Codes       []docCode
	URL, Cookie string
}

// newDocData takes a few milliseconds, so it is called at the first request for /docs. Later requests use the same
// result.
func newDocData(shared edge, routes []route, all dialectList) docData {
	return docData{documentGroups(shared.origins.publicURL, routes, all), documentedCodes(routes),
		shared.origins.publicURL, shared.cookies.refresh.Usual.Name}
}

// documentGroups omits dialects that do not describe their routes.
func documentGroups(url string, routes []route, all dialectList) []docGroup {
	groups := []docGroup{
		{Name: "session", Title: "Signing up, signing in, sessions",
			Intro: "Start here. A sign-in opens a session, which is one device of a user."},
		{Name: "account", Title: "The account", Intro: "What a signed-in user may read and change."},
		{Name: "password", Title: "The password", Intro: "The mailed links open pages of this server or of your front-end."},
		{Name: "email", Title: "The email address",
			Intro: "Each change of an address is confirmed by a mail. The previous address can undo it for 7 days."},
		{Name: "administration", Title: "Administration",
			Intro: "For administrators with a second factor, and for programs with a service key."},
		{Name: "service", Title: "For services and operators",
			Intro: "Services verify access tokens by themselves: with the public keys, and with the feed of ended sessions."},
	}
	for _, r := range routes {
		i := slices.IndexFunc(groups, func(g docGroup) bool { return g.Name == sectionOf(r.path) })
		groups[i].Routes = append(groups[i].Routes, documentRoute(url, r))
	}
	for i, d := range all {
		if len(d.Operations) == 0 {
			continue
		}
		group := docGroup{Name: fmt.Sprintf("dialect-%d", i+1), Title: "A compatibility dialect",
			Intro: "The contract of another server, for front-ends that were written for it. " +
				"Errors have that server's format."}
		for _, o := range d.Operations {
			group.Routes = append(group.Routes, documentOperation(url, o, len(d.Cookies) > 0))
		}
		groups = append(groups, group)
	}
	// A group is empty if administration is off or on the other listener.
	return slices.DeleteFunc(groups, func(g docGroup) bool { return len(g.Routes) == 0 })
}

// documentRoute shows the same parameters as the OpenAPI document.
func documentRoute(url string, r route) docRoute {
	// describeRoute needs a registry of schemas, which is not used here.
	operation := describeRoute(huma.NewMapRegistry("#/", schemaName), r)
	// A route without a method is for gateways, which forward requests with any method. The example uses GET.
	method := r.method
	if method == anyMethod {
		method = http.MethodGet
	}
	doc := docRoute{
		ID: operation.OperationID, Method: method, Path: r.path, Summary: r.summary, Guard: string(r.guard),
		Members: apiexample.Members(r.body), Answer: apiexample.Members(r.answer),
		Status: r.status, StatusText: http.StatusText(r.status),
		Curl: apiexample.Curl(apiexample.Command{
			Method: method, URL: url + r.path, Bearer: r.guard == bearer || r.guard.guardsAdministration(), Body: r.body,
			Stream: r.path == pathStream,
		}),
	}
	for _, p := range operation.Parameters {
		doc.Parameters = append(doc.Parameters,
			apiexample.Member{Name: p.Name, Type: "in the " + p.In, Doc: p.Description, Optional: !p.Required})
	}
	switch r.path {
	case pathStream:
		doc.Response = "id: 1795521600123456\nevent: set\ndata: " + apiexample.EventToken
	case pathRefresh: // only a sign-in returns the token of the device
		doc.Response = apiexample.Response(r.answer, url, "", "deviceToken")
	default:
		doc.Response = apiexample.Response(r.answer, url, apiexample.Message(r.method, strings.TrimPrefix(r.path, pathAPI)))
	}
	byStatus := errorCodesByStatus(r)
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		doc.Refusals = append(doc.Refusals, docRefusal{status, byStatus[status]})
	}
	return doc
}

// documentOperation shows curl with a cookie jar if the dialect keeps tokens in cookies.
func documentOperation(url string, o dialect.Operation, withCookies bool) docRoute {
	method, path, _ := strings.Cut(o.Pattern, " ")
	doc := docRoute{ID: dialectPrefix + operationID(route{method: method, path: path}), Method: method, Path: path,
		Summary: o.Summary,
		Members: apiexample.Members(o.Body), Answer: apiexample.Members(o.Answer),
		Status: o.Status, StatusText: http.StatusText(o.Status)}
	request := apiexample.Command{Method: method, URL: url + path, Bearer: o.Bearer, Body: o.Body, Token: "REFRESH_TOKEN"}
	if withCookies {
		request.Jar = "cookies.txt"
	}
	doc.Curl = apiexample.Curl(request)
	if o.Bearer {
		doc.Guard = string(bearer)
	}
	if o.Answer != nil {
		doc.Response = apiexample.Response(o.Answer, url, "")
	}
	return doc
}

// documentedCodes returns the error codes that the routes list, sorted by status and then by name.
func documentedCodes(routes []route) (codes []docCode) {
	// These codes are always in the table. The router or a missing role causes them, even on routes that don't list
	// them.
	found := map[watchword.Code]bool{
		apirequest.CodeMethodNotAllowed: true, watchword.CodeNotFound: true, watchword.CodeInsufficientScope: true,
	}
	for _, r := range routes {
		for _, listed := range errorCodesByStatus(r) {
			for _, code := range listed {
				found[watchword.Code(code)] = true
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(found)) {
		codes = append(codes, docCode{code, statusOf(code), apiexample.Advice(string(code))})
	}
	slices.SortStableFunc(codes, func(a, b docCode) int { return a.Status - b.Status })
	return codes
}

func (p *pages) docsPage(w http.ResponseWriter, _ *http.Request) error {
	return p.show(w, http.StatusOK, p.newEnglishView("docs", "The API", p.docsData()))
}
