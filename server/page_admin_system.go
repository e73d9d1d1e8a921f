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

// These pages show the state of the server: the overview, the outbox and the keys. Each page corresponds to a
// command: doctor, mail list, or keys list. No page shows a token, the body of a mail or a secret.

const (
	pathAdminMail = pathAdminPages + "/mail"
	pathAdminKeys = pathAdminPages + "/keys"
)

// adminProblem is a problem on the overview, with a link to the page that helps to solve it.
type adminProblem struct {
	admin.Problem
	Text, More string
	Path       string // empty: the problem can only be solved on the server's machine
}

// adminOverviewData is the data of the overview. The numbers of administrators and mails are links
// to their lists.
type adminOverviewData struct {
	Problems      []adminProblem
	Admins, Mails int
	Stats         admin.Stats
	Day           admin.HourStats // sums of the last 24 hours
}

// problemPaths maps a problem to the page on which it can be seen or solved. Problems of the server's machine have no
// entry: their text names the cause to check.
var problemPaths = map[admin.ProblemKind]string{
	admin.ProblemKeys: pathAdminKeys, admin.ProblemMailLate: pathAdminMail, admin.ProblemMailGivenUp: pathAdminMail,
	admin.ProblemRestore:  pathAdminEvents + "?kind=restore_detected",
	admin.ProblemFactor:   pathAdminPages + "/users?factor=none&role=admin",
	admin.ProblemOneAdmin: pathAdminPages + "/users?role=admin",
}

// adminOverviewPage shows the problems first, because an administrator has to act on them. The numbers below are
// those of all processes of the installation.
func (p *adminPages) adminOverviewPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	found, err := p.admin.Overview(r.Context())
	if err != nil {
		return err
	}
	v := p.newView(r, "admin-overview")
	data := adminOverviewData{Admins: found.Admins, Mails: found.Mails}
	if data.Stats, err = p.admin.Stats(r.Context()); err != nil {
		return err
	}
	// The page shows the sums of the last 24 hours. The API also returns the numbers of each hour.
	for _, hour := range data.Stats.Hours {
		data.Day.SignIns += hour.SignIns
		data.Day.FailedSignIns += hour.FailedSignIns
		data.Day.Forgiven += hour.Forgiven
		data.Day.Reuses += hour.Reuses
	}
	// Package admin sorts the problems: those that affect all users come first.
	for _, one := range found.Problems {
		text := "admin.problem." + string(one.Kind)
		data.Problems = append(data.Problems, adminProblem{one,
			v.fillPlaceholders(text, []any{strconv.Itoa(one.Count)}), v.T(text + ".more"), problemPaths[one.Kind]})
	}
	return p.showWithNotice(w, r, p.fillAdminView(v, r, by, "", data))
}

// Counted formats a number that the store counts only up to a bound. Larger services get exact numbers
// from the metrics.
func (v *view) Counted(n int) string {
	if n >= admin.StatsCounted {
		return v.T("admin.figures.more", strconv.Itoa(admin.StatsCounted))
	}
	return strconv.Itoa(n)
}

// An adminMailRow is a mail that has not been sent, because sent mails are deleted from the outbox.
type adminMailRow struct {
	watchword.Mail
	Title string // title of the mail, in the language of the reader
	User  string // path of the account; "" if the mail belongs to no account
}

// adminMailData is the data of the page. The oldest rows come first, because they are the best indication of why
// mails wait.
type adminMailData struct {
	Mails       []adminMailRow
	Next, First string // paths of the next and the first page; "" on the last or the first page
}

// newMailRow shows a mail by its title, because the kind of a mail is an internal name.
func newMailRow(v *view, m watchword.Mail) adminMailRow {
	// Titles of mails have a placeholder for the name of the service, unlike the texts of
	// pages.
	title := strings.ReplaceAll(v.T("mail."+string(m.Kind)+".title"), "{product}", v.T("brand"))
	row := adminMailRow{Mail: m, Title: title}
	if m.UserID != "" {
		row.User = adminUserPath(m.UserID)
	}
	return row
}

// adminMailPage lists the mails that wait or were abandoned, with the last error of the mail server.
func (p *adminPages) adminMailPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	after := r.URL.Query().Get("after")
	mails, next, err := p.admin.FindMails(r.Context(), "", after, 0)
	if err != nil {
		return err
	}
	v := p.newView(r, "admin-mail")
	var data adminMailData
	for _, m := range mails {
		data.Mails = append(data.Mails, newMailRow(v, m))
	}
	if next != "" {
		data.Next = pathWithQuery(pathAdminMail, url.Values{"after": {next}})
	}
	if after != "" {
		data.First = pathAdminMail
	}
	return p.showWithNotice(w, r, p.fillAdminView(v, r, by, "", data))
}

// mailSubject finds the mail in the path by reading all pages of the outbox. A mail that has been sent is not
// found.
func (p *adminPages) mailSubject(r *http.Request) (adminSubject, error) {
	for after := ""; ; {
		mails, next, err := p.admin.FindMails(r.Context(), "", after, admin.MaxLimit)
		if err != nil {
			return adminSubject{}, err
		}
		for _, m := range mails {
			if m.ID == r.PathValue("id") {
				return adminSubject{Name: string(m.To), Back: pathAdminMail}, nil
			}
		}
		if after = next; next == "" {
			return adminSubject{}, &watchword.Error{Code: watchword.CodeNotFound, Detail: "This mail is not in the outbox."}
		}
	}
}

// retryMail schedules the mail in the path for now. If the path names no mail, it schedules all waiting and abandoned
// mails. The outbox sends them within moments, so the next page may still list them.
func (p *adminPages) retryMail(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
	_, err := p.admin.Operator(by).RetryMail(r.Context(), r.PathValue("id"))
	return pathAdminMail, err
}

// An adminKeyRow is a key without its secret. The engine never returns the secret.
type adminKeyRow struct {
	watchword.KeyInfo
	Until time.Time // when a retired key is deleted; zero for other keys
}

// adminKeysData is the data of the page. With HS256 there are no signing keys, so the page has no
// button to rotate them.
type adminKeysData struct {
	Keys          []adminKeyRow
	Sign, Refresh bool
}

// adminKeysPage lists the keys as this process sees them. Like the command keys list, it first applies the schedule
// of rotations.
func (p *adminPages) adminKeysPage(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	keys, err := p.admin.Operator(by).Keys(r.Context())
	if err != nil {
		return err
	}
	var data adminKeysData
	// The page shows when a retired key is deleted. An active key has no such time until a rotation retires it.
	for _, key := range keys {
		row := adminKeyRow{KeyInfo: key}
		if key.State == "retired" {
			row.Until = key.DropAt
		}
		data.Keys = append(data.Keys, row)
		data.Sign, data.Refresh = data.Sign || key.Use == watchword.KeySign, data.Refresh || key.Use == watchword.KeyRefresh
	}
	return p.showWithNotice(w, r, p.fillAdminView(p.newView(r, "admin-keys"), r, by, "", data))
}

// rotateKeys returns the change that activates the next key for the given purpose. Tokens of the old key stay
// valid until they expire, and sessions continue.
func (p *adminPages) rotateKeys(keyUse watchword.KeyUse) changeFunc {
	return func(r *http.Request, by admin.Caller, _ url.Values) (string, error) {
		_, err := p.admin.Operator(by).RotateKeys(r.Context(), keyUse)
		return pathAdminKeys, err
	}
}

// unnamedSubject is for questions whose text already names the object, such as the key of access tokens.
func unnamedSubject(back string) func(*http.Request) (adminSubject, error) {
	return func(*http.Request) (adminSubject, error) { return adminSubject{Back: back}, nil }
}

// systemChanges returns the changes that concern no account, for the table of changes (allChanges).
func (p *adminPages) systemChanges() []adminChange {
	return []adminChange{
		{path: pathAdminMail + "/retry", name: "retry-all",
			readSubject: unnamedSubject(pathAdminMail), makeChange: p.retryMail},
		{path: pathAdminMail + "/{id}/retry", name: "retry", readSubject: p.mailSubject, makeChange: p.retryMail},
		{path: pathAdminKeys + "/sign/rotate", name: "rotate-sign", readSubject: unnamedSubject(pathAdminKeys),
			makeChange: p.rotateKeys(watchword.KeySign)},
		{path: pathAdminKeys + "/refresh/rotate", name: "rotate-refresh", readSubject: unnamedSubject(pathAdminKeys),
			makeChange: p.rotateKeys(watchword.KeyRefresh)},
	}
}
