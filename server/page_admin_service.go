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

// These pages manage service keys. A key is shown only in the response that creates it, because the store does not
// contain the key itself.
//
// Only an administrator with a fresh proof manages keys. A service key can't manage keys. Otherwise it could create a
// second key that stays valid after the first key is revoked.

const pathAdminServices = pathAdminPages + "/service-keys"

// An adminServiceRow is a service key in the list. It contains no secret, so the list may be shown on a
// shared screen.
type adminServiceRow struct {
	admin.ServiceKey
	State string
}

type adminServicesData struct {
	Keys        []adminServiceRow
	Next, First string // paths of the next and the first page; "" on the last or the first page
}

// adminServicesPage lists service keys, including expired and revoked ones. The state in the list is only for
// display, because the server checks the key at each request.
func (p *adminPages) adminServicesPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	after := r.URL.Query().Get("after")
	keys, next, err := p.admin.ServiceKeys(r.Context(), after, 0)
	if err != nil {
		return err
	}
	// An invalid cursor gets an error page with the error code of the API. Few readers see it, because a list that
	// fits on one page has no links with cursors.
	var data adminServicesData
	for _, key := range keys {
		data.Keys = append(data.Keys, adminServiceRow{key, key.State(time.Now())})
	}
	if next != "" {
		data.Next = pathWithQuery(pathAdminServices, url.Values{"after": {next}})
	}
	if after != "" {
		data.First = pathAdminServices
	}
	return p.showWithNotice(w, r, p.fillAdminView(p.newView(r, "admin-service-keys"), r, by, "", data))
}

// scopeField is the prefix of the names of the checkboxes for scopes. Each checkbox has a different name, because
// readForm rejects a form with the same name twice.
const scopeField = "scope-"

// serviceKeyFields are the fields of a new key. The name comes first, because people identify a key by its
// name.
func serviceKeyFields() []string {
	fields := []string{"keyName", "life"}
	for _, scope := range admin.Scopes() {
		fields = append(fields, scopeField+string(scope))
	}
	return fields
}

// Days returns the lifetimes that the form offers, the shortest first. Every key expires, so that a
// forgotten one does not stay valid forever.
func (v *view) Days() []string { return []string{"30", "90", "365"} }

// parseServiceKey turns a lifetime that is not a number into 0, which selects the default.
func parseServiceKey(form url.Values) admin.NewServiceKey {
	// A scope is selected if the field of its checkbox is not empty. A browser omits an unchecked checkbox. The
	// question has a hidden input for each scope, which is empty if the scope is not selected.
	n := admin.NewServiceKey{Name: strings.TrimSpace(form.Get("keyName"))}
	for _, scope := range admin.Scopes() {
		if form.Get(scopeField+string(scope)) != "" {
			n.Scopes = append(n.Scopes, string(scope))
		}
	}
	// The upper bound prevents an overflow of the duration. Package admin refuses a lifetime that is too long.
	if days, err := strconv.Atoi(form.Get("life")); err == nil && days > 0 && days < 10_000 {
		n.Life = time.Duration(days) * 24 * time.Hour
	}
	return n
}

// serviceKeyArgs returns the values of the question: the name, the days and the scopes of the key.
func serviceKeyArgs(v *view, form url.Values) []any {
	n := parseServiceKey(form)
	scopes := strings.Join(n.Scopes, ", ")
	if scopes == "" {
		scopes = v.T("admin.empty")
	}
	return []any{n.Name, strconv.Itoa(int(n.Life / (24 * time.Hour))), scopes}
}

// createServiceKeyView shows the new key once. If the response is lost, the key is lost, too. The administrator then
// revokes it by its name and creates another key.
func (p *adminPages) createServiceKeyView(r *http.Request, by admin.Caller, form url.Values) (*view, error) {
	key, secret, err := p.admin.CreateServiceKey(r.Context(), by, parseServiceKey(form))
	if err != nil {
		return nil, err
	}
	v := p.newView(r, "admin-service-key")
	return p.fillAdminView(v, r, by, "", struct{ Name, Key string }{key.Name, string(secret)}), nil
}

// serviceKeySubject returns the service key whose id is in the path. It reads all pages of the list, which is short.
// It does not find a revoked key, like the API.
func (p *adminPages) serviceKeySubject(r *http.Request) (adminSubject, error) {
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

// revokeServiceKey makes every process of the server reject the key from its next request on. The list still shows
// the key, with the time of the revocation.
func (p *adminPages) revokeServiceKey(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	return pathAdminServices, p.admin.RevokeServiceKey(r.Context(), by, r.PathValue("id"))
}

// serviceKeyChanges returns the changes of service keys, for the table of changes (allChanges).
func (p *adminPages) serviceKeyChanges() []adminChange {
	return []adminChange{
		{path: pathAdminServices + "/new", name: "service-key", fields: serviceKeyFields(), questionArgs: serviceKeyArgs,
			readSubject: unnamedSubject(pathAdminServices), createAndShow: p.createServiceKeyView},
		{path: pathAdminServices + "/{id}/revoke", name: "revoke", isDangerous: true, readSubject: p.serviceKeySubject,
			makeChange: p.revokeServiceKey},
	}
}
