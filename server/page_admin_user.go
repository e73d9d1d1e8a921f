package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

// The page of one account has everything that support needs during a call. The answer to "why was I signed out?"
// comes first, because most callers ask this.
//
// The page shows network addresses and devices, even those of a stranger who used a copied token. Only administrators
// can open it. It never contains a token, a password hash or the secret of a factor.

// adminUserData is the data of the page. The lists are bounded, so they have no further pages.
type adminUserData struct {
	User        *adminUserRow // nil: the account does not exist any more
	ID          watchword.UserID
	Path        string
	DisabledAt  time.Time
	HasPassword bool
	Own         bool // this is the administrator's own account
	Why         adminWhy

	// Sessions are the live sessions. Ended sessions are in Why, with the reason.
	Sessions, MoreSessions []adminSession
	Events, MoreEvents     []adminEvent

	Mails []adminMailRow // mails that wait or were abandoned, the oldest first

	// The page shows the names, kinds and times of factors. Their sealed secrets are not read
	// from the store.
	Factors      []factors.Factor
	CodesLeft    int
	Devices      []factors.Device
	HasFactors   bool
	Identities   []connectedAccount
	HasProviders bool
	Public       string // public metadata as JSON; "" if there is none
	Private      string
}

// An adminSession is a live session, with the path of the page that ends it.
type adminSession struct {
	accountSession
	End string
}

// An adminEvent is a security event as administrators see it. It has the id of its request, which is also in the log.
type adminEvent struct {
	watchword.Event
	Reuse *reusedetail.Detail // parsed detail of a token reuse; nil for other events

	// Linked is false on the account's own page, where a link would lead to the same page.
	Linked bool
}

// IconOf returns the icon of a device. Templates use it for values that have no method Icon, such as the session of
// an explanation.
func (v *view) IconOf(device string) string { return deviceIcon(device) }

// Replaced returns when the server replaced the reused token, or the zero time if this is unknown. Events store the
// token's age in the format of time.Duration.
func (w adminWhy) Replaced() time.Time {
	age, err := time.ParseDuration(w.Reuse.Superseded)
	if err != nil {
		return time.Time{}
	}
	return w.When.Add(-age)
}

// Icon returns the icon of the device.
func (e adminEvent) Icon() string { return deviceIcon(e.Device) }

// newAdminEvent converts a stored event. The caller sets Linked. The detail of a reuse is JSON. Other
// details are codes and numbers, which the page shows unchanged.
func newAdminEvent(e watchword.Event) adminEvent {
	row := adminEvent{Event: e}
	if detail, ok := reusedetail.Parse(e.Detail); ok && e.Kind == watchword.EventRefreshReused {
		// Events of earlier versions have no client in their detail. The device and address of the event are those of
		// the same client.
		if detail.From == (reusedetail.Party{}) {
			detail.From = reusedetail.Party{Device: e.Device, Address: e.Address}
		}
		row.Reuse, row.Detail = &detail, ""
	}
	return row
}

// adminWhy has the answer to "why was I signed out?", and the values of the question. Package admin writes the
// sentences in the language of the page, so the API and the command line give the same answer.
type adminWhy struct {
	admin.Explanation
	At, Zone string // entered time and time zone; the form shows them again
	Asked    bool   // the query asks about a session or a time
	Evidence []adminEvent
	Reuse    *reusedetail.Detail // both devices of a token reuse; nil for other reasons
}

// parseAskedTime reads when the user noticed the sign-out: a time, and the number of minutes that its time zone is
// behind UTC. The script fills in the time zone. Without the script, the time is in UTC.
func parseAskedTime(query url.Values) (at time.Time, text, zone string) {
	text = query.Get("at")
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, at.UTC().Format("2006-01-02T15:04"), ""
	}
	at, err := time.Parse("2006-01-02T15:04", text)
	if err != nil {
		return time.Time{}, "", ""
	}
	// A zone out of range was written by hand and is ignored.
	minutes, err := strconv.Atoi(query.Get("zone"))
	if err != nil || minutes < -15*60 || minutes > 15*60 {
		minutes = 0
	}
	return at.Add(time.Duration(minutes) * time.Minute), text, strconv.Itoa(minutes)
}

// explainSignOut finds out why the user was signed out at the time in the query. If the time is empty or malformed,
// it uses the current time. If the query names a session, it explains the end of this session. The page has such
// links for other ended sessions.
func (p *adminPages) explainSignOut(r *http.Request, v *view, id watchword.UserID) (why adminWhy, err error) {
	query := r.URL.Query()
	at, text, zone := parseAskedTime(query)
	session := watchword.SessionID(query.Get("session"))
	x, err := p.admin.Explain(r.Context(),
		admin.Question{Account: string(id), At: at, Session: session, Language: v.Lang()})
	if err != nil {
		return adminWhy{}, err
	}
	// If a token reuse ended the session, the page shows both devices. They are in the detail of the newest reuse
	// event.
	why = adminWhy{Explanation: x, At: text, Zone: zone, Asked: text != "" || session != ""}
	for _, e := range x.Evidence {
		event := newAdminEvent(e)
		why.Evidence = append(why.Evidence, event)
		if event.Reuse != nil && x.Reason == watchword.EndedReuse && why.Reuse == nil {
			why.Reuse = event.Reuse
		}
	}
	return why, nil
}

// adminUserPage shows one account. It reads each part of the page in a separate transaction. A session that ends
// between two reads may be in no part of the page. After a reload, the page explains why the session ended.
//
// If no account has the id, the page shows only the explanation, with status 404. The store may still have the ended
// sessions and the last event of a deleted account.
func (p *adminPages) adminUserPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	v, id := p.newView(r, "admin-user"), watchword.UserID(r.PathValue("id"))
	data := adminUserData{ID: id, Path: adminUserPath(id), Own: id == by.User.ID}
	var err error
	if data.Why, err = p.explainSignOut(r, v, id); err != nil {
		return err
	}
	account, err := p.admin.User(r.Context(), id)
	if watchword.CodeOf(err) == watchword.CodeNotFound {
		return p.show(w, http.StatusNotFound, p.fillAdminView(v, r, by, v.T("admin.user.gone"), data))
	}
	if err != nil {
		return err
	}
	// The explanation above was read in an earlier transaction. If the account has changed since, the two differ
	// until the next reload.
	data.User = &adminUserRow{account.Profile(), account.State(), account.Kinds()}
	data.DisabledAt, data.HasPassword = account.DisabledAt, account.PasswordHash != ""
	if err := p.addHistory(r, v, by, &data); err != nil {
		return err
	}
	if err := p.addSignInMethods(r, id, &data); err != nil {
		return err
	}
	return p.showWithNotice(w, r, p.fillAdminView(v, r, by, string(account.Email), data))
}

// addHistory does not merge equal rows, unlike the account page. Each row has its own session or request id, which
// support may have to quote.
func (p *adminPages) addHistory(r *http.Request, v *view, by admin.Caller, data *adminUserData) error {
	id := data.ID
	operator := p.admin.Operator(by)
	sessions, err := operator.UserSessions(r.Context(), id)
	if err != nil {
		return err
	}
	var rows []adminSession
	for _, one := range sessions {
		rows = append(rows, adminSession{accountSession{ID: string(one.ID), Device: one.Device, Address: one.Address,
			Since: one.CreatedAt, Used: one.LastUsed(), Current: one.ID == by.Session.ID},
			data.Path + "/sessions/" + url.PathEscape(string(one.ID)) + "/end"})
	}
	data.Sessions, data.MoreSessions = splitVisible(rows)
	// The page lists waiting mails, because users ask support about them. It shows only the first mails. The page of
	// the outbox shows all of them.
	mails, _, err := p.admin.FindMails(r.Context(), id, "", 0)
	if err != nil {
		return err
	}
	for _, m := range mails {
		data.Mails = append(data.Mails, newMailRow(v, m))
	}
	const lastEvents = 100
	events, err := operator.UserEvents(r.Context(), id, lastEvents)
	if err != nil {
		return err
	}
	var list []adminEvent
	for _, e := range events {
		list = append(list, newAdminEvent(e))
	}
	data.Events, data.MoreEvents = splitVisible(list)
	return nil
}

// addSignInMethods adds the factors, the connected accounts and the metadata. If the server does not have one of
// these features, it omits the section of the feature. An empty section would look as if the user had not set it up.
func (p *adminPages) addSignInMethods(r *http.Request, id watchword.UserID, data *adminUserData) error {
	// If one of these lists can't be read, the whole page fails. A page without the list would look as if the account
	// had no factors.
	if data.HasFactors = p.factors != nil; data.HasFactors {
		overview, err := p.factors.List(r.Context(), id)
		if err != nil {
			return err
		}
		data.Factors, data.CodesLeft, data.Devices = overview.Factors, overview.Codes.Left, overview.Devices
	}
	if data.HasProviders = p.federation != nil; data.HasProviders {
		all, err := p.federation.List(r.Context(), id)
		if err != nil {
			return err
		}
		data.Identities = p.connectedRows(all)
	}
	if p.metadata == nil {
		return nil
	}
	found, err := p.metadata.Get(r.Context(), id)
	data.Public, data.Private = indentJSON(found.Public), indentJSON(found.Private)
	return err
}

// indentJSON returns "" for an empty object. It does not decode the object, because a decoder would round large
// numbers.
func indentJSON(text string) string {
	var out bytes.Buffer
	if text == "{}" || json.Indent(&out, []byte(text), "", "  ") != nil {
		return ""
	}
	return out.String()
}
