package main

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// explainCmd tells an operator why a user was signed out. It reads the store, so it works beside a
// running server and while no server runs. An end by an idle timeout is computed from the settings
// of this command, so give it the settings of the server.
type explainCmd struct {
	Email string `arg:"" help:"Address or id of an account. A deleted account is found by its id."`
	At    string `name:"at" help:"When the user noticed: 2026-05-03T10:02Z, \"2026-05-03 10:02\" (UTC), or 90m for so long ago. Default: now."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints the answer. An account without a session is an answer and no error: exit code 0.
func (c *explainCmd) Run(ctx context.Context, p *program) error {
	// --at is parsed before the store is opened, so a typo costs no connection.
	at, err := parseMoment(c.At, time.Now())
	if err != nil {
		return err
	}
	// Only a read: beside a server of another release, the command does not migrate the store.
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	// The access of an administrator is not checked here: the operating system has authenticated the
	// caller, who can read the store anyway.
	x, err := admin.New(s.engine, s.store.Admin(), admin.Options{}).Explain(ctx, admin.Question{Account: c.Email, At: at})
	if err != nil {
		return err
	}
	// Events have the same shape as in `events --json`.
	if c.JSON {
		return p.printJSON(newExplainView(x))
	}
	return p.printExplanation(x)
}

// parseMoment reads the forms in which people tell a time. Without a zone it is UTC, as every time
// that the command prints.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	// Most users say "an hour ago". A negative duration would be in the future, which is a mistake.
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	// An unreadable time is an error. Reading it as "now" would explain another sign-out.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z", "2006-01-02 15:04:05",
		"2006-01-02 15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	// The message has one example of each form, because people copy an example.
	return time.Time{}, faults{{"--at", "is not a time. Write 2026-05-03T10:02Z, \"2026-05-03 10:02\" (UTC), " +
		"or 90m for so long ago."}}
}

// printExplanation prints the answer first. The evidence and the other sessions follow for a reader
// who doubts it.
func (p *program) printExplanation(x admin.Explanation) error {
	// The sentence and its certainty can be read to the user as they are.
	p.say("%s", x.Sentence)
	p.say("%s", x.Certainty)
	for _, note := range x.Notes {
		p.say("- %s", note)
	}
	// Without events there is no empty table: "Events: 0" would look like a fault of the command.
	if len(x.Evidence) > 0 {
		p.say("\nEvents: %d", len(x.Evidence))
		if err := p.printTable(eventTable(x.Evidence)); err != nil {
			return err
		}
	}
	// The other sessions get one sentence each. --at with the time of one shows its events.
	if len(x.Others) > 0 {
		p.say("\nOther sessions: %d", len(x.Others))
		for _, other := range x.Others {
			p.say("- %s", other.Sentence)
		}
	}
	return nil
}

// explainView is an explanation in JSON: the shape of the API. The reason is stable and for programs;
// the texts may change in every release.
type explainView struct {
	Sentence  string              `json:"sentence"`
	When      *time.Time          `json:"when"`
	Reason    watchword.EndReason `json:"reason"`
	Certainty string              `json:"certainty"`
	Notes     []string            `json:"notes"`
	Session   watchword.SessionID `json:"session,omitempty"`
	Evidence  []eventView         `json:"evidence"`
	Others    []explainView       `json:"others"`
}

// newExplainView has empty lists instead of null, so a script can iterate without a check. The other
// sessions have the same shape, and no others of their own.
func newExplainView(x admin.Explanation) explainView {
	view := explainView{Sentence: x.Sentence, When: stamp(x.When), Reason: x.Reason, Certainty: x.Certainty,
		Notes: append([]string{}, x.Notes...), Evidence: eventsJSON(x.Evidence), Others: []explainView{}}
	// The id is the `sid` of the session's access tokens.
	// `users list --session` finds the account by it.
	if x.Session != nil {
		view.Session = x.Session.ID
	}
	for _, other := range x.Others {
		view.Others = append(view.Others, newExplainView(other))
	}
	return view
}
