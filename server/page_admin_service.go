package server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// The pages of service keys. A key is in one response only, because the store does not have it.
//
// Only a person manages keys, with a fresh proof. A service key that could create another would outlive its
// own revocation.

const pathAdminServices = pathAdminPages + "/service-keys"

// An adminServiceRow is a service key in the list. It has no secret, so the list may be on a screen that
// others see.
type adminServiceRow struct {
	admin.ServiceKey
	State string
}

// adminServicesData is the data of the list.
type adminServicesData struct {
	Keys        []adminServiceRow
	Next, First string // paths of pages; empty on the last or the first one
}

// adminServicesPage lists service keys, also expired and revoked ones. The state is only for display:
// each request with a key is checked anew.
func (p *pages) adminServicesPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	after := r.URL.Query().Get("after")
	keys, next, err := p.admin.ServiceKeys(r.Context(), after, 0)
	if err != nil {
		return err
	}
	// A wrong cursor is an error page with the code of the API. The list is short, so few links have one.
	var data adminServicesData
	for _, key := range keys {
		data.Keys = append(data.Keys, adminServiceRow{key, key.State(time.Now())})
	}
	if next != "" {
		data.Next = withQuery(pathAdminServices, url.Values{"after": {next}})
	}
	if after != "" {
		data.First = pathAdminServices
	}
	return p.showAdmin(w, r, p.adminView(p.newView(r, "admin-service-keys"), r, by, "", data))
}

// scopeField begins the name of the check mark of a scope. Each scope has a field of its own, because
// readForm refuses a form with the same name twice.
const scopeField = "scope-"

// serviceFields are the fields of a new key. The name comes first, because a person revokes a key by it.
func serviceFields() []string {
	fields := []string{"keyName", "life"}
	for _, scope := range admin.Scopes() {
		fields = append(fields, scopeField+string(scope))
	}
	return fields
}

// Days returns the lives that the form offers, the shortest first. Every key expires, so that a forgotten
// one does not stay valid forever.
func (v *view) Days() []string { return []string{"30", "90", "365"} }

// newServiceKey reads the form. A life that is no number is 0, which is the default.
func newServiceKey(form url.Values) admin.NewServiceKey {
	// A browser sends only the check marks that are set. The question repeats the others with an empty value.
	n := admin.NewServiceKey{Name: strings.TrimSpace(form.Get("keyName"))}
	for _, scope := range admin.Scopes() {
		if form.Get(scopeField+string(scope)) != "" {
			n.Scopes = append(n.Scopes, string(scope))
		}
	}
	// The bound keeps the product below the largest duration. Package admin refuses what is too long.
	if days, err := strconv.Atoi(form.Get("life")); err == nil && days > 0 && days < 10_000 {
		n.Life = time.Duration(days) * 24 * time.Hour
	}
	return n
}

// serviceArgs are the values of the question: the name, the days, and what the key may do.
func serviceArgs(v *view, form url.Values) []any {
	n := newServiceKey(form)
	scopes := strings.Join(n.Scopes, ", ")
	if scopes == "" {
		scopes = v.T("admin.empty")
	}
	return []any{n.Name, strconv.Itoa(int(n.Life / (24 * time.Hour))), scopes}
}

// showServiceKey creates a key and shows it, once. If the response is lost, so is the key. The
// administrator then revokes it by its name and creates another.
func (p *pages) showServiceKey(r *http.Request, by admin.Caller, form url.Values) (*view, error) {
	key, secret, err := p.admin.CreateServiceKey(r.Context(), by, newServiceKey(form))
	if err != nil {
		return nil, err
	}
	v := p.newView(r, "admin-service-key")
	return p.adminView(v, r, by, "", struct{ Name, Key string }{key.Name, string(secret)}), nil
}

// serviceOf finds the key in the path, page by page: there are few of them. A revoked key is missing, as
// in the API.
func (p *pages) serviceOf(r *http.Request) (adminSubject, error) {
	for after := ""; ; {
		keys, next, err := p.admin.ServiceKeys(r.Context(), after, admin.MaxLimit)
		if err != nil {
			return adminSubject{}, err
		}
		for _, key := range keys {
			if key.ID == r.PathValue("id") && key.RevokedAt.IsZero() {
				return adminSubject{Name: key.Name, Back: pathAdminServices}, nil
			}
		}
		if after = next; next == "" {
			return adminSubject{}, &watchword.Error{Code: watchword.CodeNotFound, Detail: "No service key has this id."}
		}
	}
}

// revokeService makes a key invalid at its next request, in every process. The row stays in the list, so
// that the reader sees when it happened.
func (p *pages) revokeService(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	return pathAdminServices, p.admin.RevokeServiceKey(r.Context(), by, r.PathValue("id"))
}

// serviceChanges are the rows of the table of changes for service keys.
func (p *pages) serviceChanges() []adminChange {
	return []adminChange{
		{path: pathAdminServices + "/new", name: "service-key", fields: serviceFields(), args: serviceArgs,
			subject: thingAt(pathAdminServices), show: p.showServiceKey},
		{path: pathAdminServices + "/{id}/revoke", name: "revoke", danger: true, subject: p.serviceOf,
			do: p.revokeService},
	}
}
