package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// This page lists accounts. Its search is a plain form with GET, so it can be bookmarked and works without the
// script. The query contains the searched address, but the log of this server omits queries.

// adminUsersData is the data of the list. It repeats the search, so that the form shows it and the next
// page keeps it.
type adminUsersData struct {
	Typed, Role, State, Factor string
	Filtered                   bool // at least one of Typed, Role, State and Factor is set
	Users                      []adminUserRow
	Next, First                string // paths of the next and the first page; "" on the last or the first page
	Gone                       string // path of the searched account; it may have been deleted
}

// An adminUserRow is an account in the list. A Profile never contains the password hash.
type adminUserRow struct {
	watchword.Profile
	State   string
	Factors []string
}

// parseUserSearch accepts an address or an id in one field, because support may know only one of the two. A UUID is
// treated as an id, because almost no address begins with a UUID.
func parseUserSearch(query url.Values) (f admin.Filter, data adminUsersData) {
	data = adminUsersData{Typed: strings.TrimSpace(query.Get("q")), Role: strings.TrimSpace(query.Get("role")),
		State: query.Get("state"), Factor: query.Get("factor")}
	f = admin.Filter{Role: data.Role, State: data.State, Factor: data.Factor}
	if uuid.Validate(data.Typed) == nil {
		f.ID = strings.ToLower(data.Typed)
	} else {
		f.Email = data.Typed
	}
	data.Filtered = f != admin.Filter{}
	return f, data
}

// adminUsersPage lists the accounts that match the search. The search is in the URL, so that users can bookmark it
// and the back button works. The cursor of a later page is valid only together with the same search.
func (p *adminPages) adminUsersPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	query := r.URL.Query()
	filter, data := parseUserSearch(query)
	// Limit 0 selects the default of the API, which fits on a screen.
	page, err := p.admin.FindUsers(r.Context(), filter, query.Get("after"), 0)
	for _, name := range []string{"after", "done"} {
		if query.Has(name) {
			query.Del(name)
			data.First = pathWithQuery(r.URL.Path, query)
		}
	}
	// The list refuses the cursor if the search in the URL was edited, or if the secret that seals cursors has
	// changed. This page then links to the first page of the list.
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		data.First = r.URL.Path
		return p.showAgain(w, r, p.fillAdminView(p.newView(r, "admin-users"), r, by, "", data), err)
	}
	if err != nil {
		return err
	}
	for _, account := range page.Items {
		data.Users = append(data.Users, adminUserRow{account.Profile(), account.State(), account.Kinds()})
	}
	// A page can be empty and have a next page, because one request reads a bounded part of the accounts.
	if page.Next != "" {
		query.Set("after", page.Next)
		data.Next = pathWithQuery(r.URL.Path, query)
	}
	// The list has only existing accounts. For some days, a deleted account also has a page, which explains why its
	// sessions ended.
	if filter.ID != "" && len(data.Users) == 0 {
		data.Gone = adminUserPath(watchword.UserID(filter.ID))
	}
	return p.showWithNotice(w, r, p.fillAdminView(p.newView(r, "admin-users"), r, by, "", data))
}

// pathWithQuery adds no question mark if the query is empty.
func pathWithQuery(path string, query url.Values) string {
	if text := query.Encode(); text != "" {
		return path + "?" + text
	}
	return path
}

// adminUserPath escapes the id, because the id can come from a search.
func adminUserPath(id watchword.UserID) string {
	return pathAdminPages + "/users/" + url.PathEscape(string(id))
}
