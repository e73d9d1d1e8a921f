package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/apirequest"
	"github.com/watchword-auth/watchword/internal/respond"
)

// These routes list events and mails, show the signing and refresh keys, and return statistics. The responses have no
// secret: no token of a mail, no private key, and no text of a mail.
//
// Each page of a list is read in a separate transaction. A row that changes between two pages can therefore be
// missing from both pages or be on both pages.

// An eventsAnswer is one page of the list of events. It can have fewer items than the limit even if there is a next
// page, as in the list of accounts.
type eventsAnswer struct {
	Items []eventAnswer `json:"items" nullable:"false" doc:"The newest first"`
	Next  string        `json:"next,omitempty" doc:"Cursor of the next page, for ?after=; missing: this is the last page"`
}

// listEvents includes events of deleted accounts and events without an account. It does not check that the user
// exists, because the events of a deleted account are kept for 90 days.
func (a *adminAPI) listEvents(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	given, err := parseQuery(r, "user", "kind", "address", "from", "to", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := given.pageLimit()
	if err != nil {
		return err
	}
	// An unknown kind selects no event and is not an error, because a later version may have more
	// kinds.
	filter := admin.EventFilter{User: watchword.UserID(given["user"]), Kind: given["kind"], Address: given["address"]}
	if filter.From, err = given.parseTime("from"); err != nil {
		return err
	}
	if filter.To, err = given.parseTime("to"); err != nil {
		return err
	}
	page, err := a.admin.FindEvents(r.Context(), filter, given["after"], limit)
	if err != nil {
		return err
	}
	// Events contain network addresses and devices of users, so the scope events:read is separate from
	// users:read.
	answer := eventsAnswer{Items: []eventAnswer{}, Next: page.Next}
	for _, event := range page.Items {
		answer.Items = append(answer.Items, newEventAnswer(event))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// parseTime returns the zero time for a missing parameter. It truncates to milliseconds, the precision of the store.
func (q queryParameters) parseTime(name string) (time.Time, error) {
	text := q[name]
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, invalidParameter("The parameter " + name + " is not a time such as 2026-05-03T10:02:00Z.")
	}
	return at.Truncate(time.Millisecond), nil
}

// An outboxMailAnswer describes a mail that has not been sent yet. Sent mails are deleted, so a mail
// that is missing here may have been sent.
type outboxMailAnswer struct {
	ID        string             `json:"id" format:"uuid"`
	Kind      watchword.MailKind `json:"kind"`
	To        watchword.Address  `json:"to" format:"email"`
	User      watchword.UserID   `json:"user,omitempty"`
	State     string             `json:"state" enum:"waiting,given-up"`
	Attempts  int                `json:"attempts"`
	LastError string             `json:"lastError,omitempty" doc:"The reply of the mail server"`
	CreatedAt time.Time          `json:"createdAt"`
	NextAt    *time.Time         `json:"nextAt,omitempty" doc:"The next attempt; missing: the mail was given up"`
}

// newOutboxMail omits Mail.Facts, because they can contain a new address of the user.
func newOutboxMail(m watchword.Mail) outboxMailAnswer {
	answer := outboxMailAnswer{ID: m.ID, Kind: m.Kind, To: m.To, User: m.UserID, State: "waiting", Attempts: m.Attempts,
		LastError: m.LastError, CreatedAt: m.CreatedAt}
	if m.GivenUpAt.IsZero() {
		answer.NextAt = &m.NextAt
	} else {
		answer.State = "given-up"
	}
	return answer
}

// A mailsAnswer is one page of the outbox. A mail that is sent between two requests is missing from the
// next page.
type mailsAnswer struct {
	Items []outboxMailAnswer `json:"items" nullable:"false" doc:"The oldest first"`
	Next  string             `json:"next,omitempty" doc:"Cursor of the next page, for ?after=; missing: this is the last page"`
}

// listMails includes abandoned mails. The field lastError tells why a mail has not been sent.
func (a *adminAPI) listMails(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	given, err := parseQuery(r, "user", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := given.pageLimit()
	if err != nil {
		return err
	}
	mails, next, err := a.admin.FindMails(r.Context(), watchword.UserID(given["user"]), given["after"], limit)
	if err != nil {
		return err
	}
	// The list has the recipient, because a wrong address is a common reason for a missing mail.
	answer := mailsAnswer{Items: []outboxMailAnswer{}, Next: next}
	for _, mail := range mails {
		answer.Items = append(answer.Items, newOutboxMail(mail))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// retryMail makes a mail due now, even an abandoned one, and restarts its count of attempts at zero. The response is
// 404 if the mail has been sent, because it is no longer in the outbox.
//
// There is no route that retries all mails. After a failure of the mail server, the operator runs `watchword mail
// retry`, and the server sends all mails at the rate of the outbox.
func (a *adminAPI) retryMail(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	if err := a.admin.RetryMail(r.Context(), by, r.PathValue("id")); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusAccepted, messageBody{"The mail will be sent."})
}

// A keyStateAnswer describes a signing or refresh key without its secret.
type keyStateAnswer struct {
	ID          string     `json:"id"`
	Use         string     `json:"use" enum:"sign,refresh"`
	Alg         string     `json:"alg"`
	Number      int        `json:"number"`
	State       string     `json:"state" enum:"next,active,retired"`
	PublishedAt time.Time  `json:"publishedAt"`
	ActiveFrom  time.Time  `json:"activeFrom"`
	DropAt      *time.Time `json:"dropAt,omitempty" doc:"Everything that it signed has expired by then; missing: it has no successor"`
}

// A keyStatesAnswer has all keys on one page, because they are few. Its member is named items, as in
// the lists with pages, so that a client can read all lists in the same way.
type keyStatesAnswer struct {
	Items []keyStateAnswer `json:"items" nullable:"false"`
}

// newKeyStates converts the keys in the order of the engine, which sorts them by KeyUse and then by the time of
// activation. The ids of signing keys are public, because each token has the id of its key in the header.
func newKeyStates(keys []watchword.KeyInfo) keyStatesAnswer {
	answer := keyStatesAnswer{Items: []keyStateAnswer{}}
	for _, k := range keys {
		one := keyStateAnswer{k.ID, string(k.Use), k.Alg, k.Number, k.State, k.PublishedAt, k.ActiveFrom, nil}
		if !k.DropAt.IsZero() {
			one.DropAt = &k.DropAt
		}
		answer.Items = append(answer.Items, one)
	}
	return answer
}

// listKeys returns the same states as `watchword keys list`. A monitor can alert if there is no next signing key or
// no next refresh key.
func (a *adminAPI) listKeys(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	keys, err := a.admin.Operator(by).Keys(r.Context())
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newKeyStates(keys))
}

// A rotateKeysBody selects the signing keys or the refresh keys, because the two are rotated for different reasons.
type rotateKeysBody struct {
	Use string `json:"use" enum:"sign,refresh" doc:"sign: access tokens; refresh: refresh tokens"`
}

// rotateKeys activates the next key, as `watchword keys rotate` does. Tokens of the old key stay valid until
// they expire.
func (a *adminAPI) rotateKeys(w http.ResponseWriter, r *http.Request, by admin.Caller) error {
	body, err := apirequest.Body[rotateKeysBody](r)
	if err != nil {
		return err
	}
	if body.Use != string(watchword.KeySign) && body.Use != string(watchword.KeyRefresh) {
		return invalidField("use", watchword.FieldInvalid, "The use is sign or refresh.")
	}
	// The engine refuses a rotation if the store has too many keys, so a script in a loop can't use up the
	// key numbers.
	keys, err := a.admin.RotateKeys(r.Context(), by, watchword.KeyUse(body.Use))
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, newKeyStates(keys))
}

// A statsAnswer has the counts of an overview page. Each count stops at a bound. The response contains this bound, so
// that a front-end can show "more than 100,000". Large services get exact numbers from the metrics.
type statsAnswer struct {
	Accounts     int               `json:"accounts" doc:"At most countedTo"`
	Sessions     int               `json:"sessions" doc:"Live sessions. At most countedTo"`
	CountedTo    int               `json:"countedTo" doc:"Where accounts, sessions and events stop counting"`
	MailsWaiting int               `json:"mailsWaiting" doc:"At most 10,000"`
	MailsGivenUp int               `json:"mailsGivenUp" doc:"At most 10,000"`
	Hours        []hourStatsAnswer `json:"hours" nullable:"false" doc:"The last 24 hours, the oldest first. The last one is not over"`
}

// An hourStatsAnswer counts security events. The store keeps events for 90 days, so a restart does not reset the
// counts.
type hourStatsAnswer struct {
	Hour          time.Time `json:"hour" doc:"Its beginning, in UTC"`
	SignIns       int       `json:"signIns"`
	FailedSignIns int       `json:"failedSignIns" doc:"Wrong passwords and other refused sign-ins"`
	LateForgiven  int       `json:"lateForgiven" doc:"Refreshes with a lost response that kept their session"`
	Reuses        int       `json:"reuses" doc:"Sessions that ended because a refresh token was copied"`
}

// readStats counts rows in the store, so every process returns the same counts. The metrics can't replace these
// counts, because each process starts its metrics at zero.
func (a *adminAPI) readStats(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	stats, err := a.admin.Stats(r.Context())
	if err != nil {
		return err
	}
	answer := statsAnswer{Accounts: stats.Accounts, Sessions: stats.Sessions, CountedTo: admin.StatsCounted,
		MailsWaiting: stats.MailWaiting, MailsGivenUp: stats.MailGivenUp, Hours: []hourStatsAnswer{}}
	// An hour without events has zeros, so a chart has no gaps.
	for _, h := range stats.Hours {
		answer.Hours = append(answer.Hours, hourStatsAnswer{h.Hour, h.SignIns, h.FailedSignIns, h.Forgiven, h.Reuses})
	}
	return respond.JSON(w, http.StatusOK, answer)
}
