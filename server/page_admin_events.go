package server

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// This page lists the security events of all accounts and of the server itself. Its search is a form with GET, like
// the search for accounts. The last page of a long list loads as fast as the first.
//
// The search may contain an email address, which is then in the query of the URL. The server logs the route of a
// request without the query, so the address is not in the log.

const pathAdminEvents = pathAdminPages + "/events"

// adminEventsData is the data of the list. It repeats the search, so that the form shows it.
type adminEventsData struct {
	Typed, Kind, Address, From, To string
	Kinds                          []adminKind
	Events                         []adminEvent
	Next, First                    string // paths of the next and the first page; "" on the last or the first page
	Filtered                       bool
}

// An adminKind is a kind of event with its text in the reader's language. The form shows the text, and the URL
// contains the kind.
type adminKind struct{ Kind, Text string }

// eventKinds returns the kinds that have a text, in alphabetical order of the texts. A kind without a text can't be
// chosen, but its events are listed.
func (v *view) eventKinds() (all []adminKind) {
	for key, text := range v.catalog.Texts[v.langIndex] {
		kind, isEvent := strings.CutPrefix(key, "event.")
		if isEvent && kind != "times" {
			all = append(all, adminKind{kind, text})
		}
	}
	// Two kinds can have the same text in a language. They are then sorted by kind, so that the order never changes.
	slices.SortFunc(all, func(a, b adminKind) int {
		return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// parseDay returns the start of a day in UTC. For any text that is not a date, it returns the zero time.
func parseDay(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseEventSearch reads the search from the query. The last day of the range is included, so f.To is the start of
// the next day.
func parseEventSearch(query url.Values) (f admin.EventFilter, data adminEventsData) {
	data = adminEventsData{Typed: strings.TrimSpace(query.Get("q")), Kind: query.Get("kind"),
		Address: strings.TrimSpace(query.Get("address")), From: query.Get("from"), To: query.Get("to")}
	f = admin.EventFilter{Kind: data.Kind, Address: data.Address, From: parseDay(data.From), To: parseDay(data.To)}
	if !f.To.IsZero() {
		f.To = f.To.AddDate(0, 0, 1)
	}
	// If a search is active, the title says that the list is filtered.
	data.Filtered = data.Typed != "" || f != admin.EventFilter{}
	return f, data
}

// findEvents accepts three kinds of search text: an account's address, an account's id, or the id of a request from
// the log. For a UUID, findEvents first looks for events of an account with this id, and then for events of a
// request.
func (p *adminPages) findEvents(
	r *http.Request, f admin.EventFilter, searchText, cursor string,
) (admin.EventPage, error) {
	switch {
	case strings.Contains(searchText, "@"):
		user, err := p.engine.Operator().FindUser(r.Context(), searchText)
		var refusal *watchword.Error
		if errors.As(err, &refusal) { // no account has the address
			return admin.EventPage{}, nil
		}
		if err != nil {
			return admin.EventPage{}, err
		}
		f.User = user.ID
	case searchText != "" && uuid.Validate(searchText) != nil:
		return admin.EventPage{}, nil
	default:
		f.User = watchword.UserID(strings.ToLower(searchText))
	}
	// The account need not exist, because the events of a deleted account still have its id.
	page, err := p.admin.FindEvents(r.Context(), f, cursor, 0)
	if err == nil && searchText != "" && cursor == "" && len(page.Items) == 0 && page.Next == "" {
		page.Items, err = p.engine.Operator().RequestEvents(r.Context(), strings.ToLower(searchText), admin.DefaultLimit)
	}
	return page, err
}

// adminEventsPage lists events, the newest first. Each event links to its account, even if the account was deleted.
func (p *adminPages) adminEventsPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	query, v := r.URL.Query(), p.newView(r, "admin-events")
	filter, data := parseEventSearch(query)
	data.Kinds = v.eventKinds()
	// Every page except the first has a link to the first page of the same search. The link is the URL of this page
	// without the cursor.
	page, err := p.findEvents(r, filter, data.Typed, query.Get("after"))
	if query.Has("after") {
		query.Del("after")
		data.First = pathWithQuery(r.URL.Path, query)
	}
	// If the cursor belongs to another search, this page links to the first page of the list.
	var refusal *watchword.Error
	if errors.As(err, &refusal) {
		data.First = r.URL.Path
		return p.showAgain(w, r, p.fillAdminView(v, r, by, "", data), err)
	}
	if err != nil {
		return err
	}
	// Events of the server itself, such as a rotation of keys, have no account.
	for _, e := range page.Items {
		row := newAdminEvent(e)
		row.Linked = e.UserID != ""
		data.Events = append(data.Events, row)
	}
	if page.Next != "" {
		query.Set("after", page.Next)
		data.Next = pathWithQuery(r.URL.Path, query)
	}
	return p.showWithNotice(w, r, p.fillAdminView(v, r, by, "", data))
}
