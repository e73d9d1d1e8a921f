package server

import (
	"net/http"
	"slices"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/respond"
)

// This route answers the question "why was I signed out?". Package admin computes the answer for the API, the page
// and the command `watchword explain`. The texts are in English unless the query asks for another language.
// Accept-Language is ignored, because a program that stores the sentence needs the same language each time.

// An explanationAnswer says why one session ended. The members are those of admin.Explanation.
type explanationAnswer struct {
	Sentence  string              `json:"sentence" doc:"The answer, with its time in UTC"`
	When      *time.Time          `json:"when,omitempty" doc:"When the session ended; missing: there is no end"`
	Reason    watchword.EndReason `json:"reason" doc:"Why the session ended, or signed_in, roles_changed and others"`
	Certainty string              `json:"certainty" doc:"How certain the answer is"`
	Notes     []string            `json:"notes" nullable:"false" doc:"Further help, such as a later sign-in"`
	Session   watchword.SessionID `json:"session,omitempty" doc:"The session that the answer is about"`
}

// An adminExplainAnswer explains the end of the session that ended last, with its events. The user may mean a session
// on another device, so the answer also has a short explanation for each other session.
type adminExplainAnswer struct {
	Sentence  string              `json:"sentence" doc:"The answer, with its time in UTC"`
	When      *time.Time          `json:"when,omitempty" doc:"When the session ended; missing: there is no end"`
	Reason    watchword.EndReason `json:"reason" doc:"As in others"`
	Certainty string              `json:"certainty" doc:"How certain the answer is"`
	Notes     []string            `json:"notes" nullable:"false" doc:"Further help, such as a later sign-in"`
	Session   watchword.SessionID `json:"session,omitempty" doc:"The session that the answer is about"`

	Evidence []eventAnswer       `json:"evidence" nullable:"false" doc:"The events behind the answer, the newest first"`
	Others   []explanationAnswer `json:"others" nullable:"false" doc:"The other sessions"`
}

// An eventAnswer is a security event as administrators see it. It contains the network address and the device of the
// client, even if the client was a stranger with a copied token.
type eventAnswer struct {
	ID        string              `json:"id"`
	Kind      watchword.EventKind `json:"kind"`
	At        time.Time           `json:"at"`
	User      watchword.UserID    `json:"user,omitempty"`
	Session   watchword.SessionID `json:"session,omitempty"`
	Address   string              `json:"address,omitempty"`
	Device    string              `json:"device,omitempty"`
	RequestID string              `json:"requestId,omitempty"`
	Detail    string              `json:"detail,omitempty"`
	Operator  string              `json:"operator,omitempty"`
	Times     int                 `json:"times"`
}

// explainSignOut responds with 200 even if no account has the id, because the server may still have the ended sessions
// of a deleted account. If there are no such sessions, the response says that there is no account.
func (a *adminAPI) explainSignOut(w http.ResponseWriter, r *http.Request, _ admin.Caller) error {
	given, err := parseQuery(r, "at", "language")
	if err != nil {
		return err
	}
	// A malformed id counts as unknown, because the id is only compared with stored ids. The path never has an email
	// address, because proxies log paths.
	q := admin.Question{Account: r.PathValue("id"), Language: given["language"]}
	if !slices.Contains([]string{"", "en", "de"}, q.Language) {
		return invalidParameter("The parameter language is not one of en and de.")
	}
	if at := given["at"]; at != "" {
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return invalidParameter("The parameter at is not a time such as 2026-05-03T10:02:00Z.")
		}
	}
	// The rows are read in one transaction, so the sentence and the events never contradict each
	// other, even if the session ends during the request.
	x, err := a.admin.Explain(r.Context(), q)
	if err != nil {
		return err
	}
	main := newExplanation(x)
	answer := adminExplainAnswer{main.Sentence, main.When, main.Reason, main.Certainty, main.Notes, main.Session,
		[]eventAnswer{}, []explanationAnswer{}}
	// The events keep their detail as stored. The detail of a reuse is JSON; the sentence has the
	// same facts in words.
	for _, e := range x.Evidence {
		answer.Evidence = append(answer.Evidence, newEventAnswer(e))
	}
	// Others has one entry for each other session of the last 7 days. Package admin limits their
	// number, so there are no pages.
	for _, other := range x.Others {
		answer.Others = append(answer.Others, newExplanation(other))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// newExplanation omits a zero time, because it would appear as a date in the year 1. Notes are never
// nil.
func newExplanation(x admin.Explanation) explanationAnswer {
	body := explanationAnswer{Sentence: x.Sentence, Reason: x.Reason, Certainty: x.Certainty,
		Notes: append([]string{}, x.Notes...)}
	if !x.When.IsZero() {
		body.When = &x.When
	}
	// The response has only the id of the session, because GET /users/{id} has the other fields.
	if x.Session != nil {
		body.Session = x.Session.ID
	}
	return body
}

// newEventAnswer includes the id of the request that caused the event. The log lines of the request have the same id.
func newEventAnswer(e watchword.Event) eventAnswer {
	return eventAnswer{e.ID, e.Kind, e.At, e.UserID, e.SessionID, e.Address, e.Device, e.RequestID, e.Detail,
		e.Operator, e.Times}
}
