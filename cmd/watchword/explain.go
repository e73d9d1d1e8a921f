package main

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// explainCmd tells an operator why a user was signed out. It reads the store, so it works with
// and without a running server. It must run with the settings of the server, because it
// computes the idle timeout from its own settings.
type explainCmd struct {
	Email string `arg:"" help:"Address or id of an account. A deleted account is found by its id."`
	At    string `name:"at" help:"When the user noticed: 2026-05-03T10:02Z, \"2026-05-03 10:02\" (UTC), or 90m for 90 minutes ago. Default: now."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run prints the answer. If the account has no session, that is a valid answer and not an
// error, so the exit code is 0.
func (c *explainCmd) Run(ctx context.Context, p *program) error {
	// --at is parsed before the store is opened, so a typing error is reported without a
	// connection.
	at, err := parseMoment(c.At, time.Now())
	if err != nil {
		return err
	}
	// The command only reads. It does not migrate the store, because a server of another
	// release may be using it.
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	// The command does not check the access of an administrator: the operating system has
	// authenticated the caller, who can read the store anyway.
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

// parseMoment parses the forms in which people write a time. A time without a zone is in UTC,
// like every time that the command prints.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	// A duration such as 90m means 90 minutes ago. A negative duration would be in the future,
	// so it is an error.
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	// An unreadable time is an error. If it meant "now", the command would explain a different
	// sign-out.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z", "2006-01-02 15:04:05",
		"2006-01-02 15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	// The message has one example of each form, because people copy an example.
	return time.Time{}, faults{{"--at", "is not a time. Write 2026-05-03T10:02Z, \"2026-05-03 10:02\" (UTC), " +
		"or 90m for 90 minutes ago."}}
}

// printExplanation prints the answer first. The evidence and the other sessions follow, so that
// a reader can check the answer.
func (p *program) printExplanation(x admin.Explanation) error {
	// These two lines are for the user. A support team can read them out.
	p.say("%s", x.Sentence)
	p.say("%s", x.Certainty)
	for _, note := range x.Notes {
		p.say("- %s", note)
	}
	// Without events, nothing is printed here, because "Events: 0" would look like an error of
	// the command.
	if len(x.Evidence) > 0 {
		p.say("\nEvents: %d", len(x.Evidence))
		if err := p.printTable(eventTable(x.Evidence)); err != nil {
			return err
		}
	}
	// Each of the other sessions gets one sentence. To see the events of such a session, the
	// operator repeats the command with --at and the session's time.
	if len(x.Others) > 0 {
		p.say("\nOther sessions: %d", len(x.Others))
		for _, other := range x.Others {
			p.say("- %s", other.Sentence)
		}
	}
	return nil
}

// explainView is an explanation in JSON, in the form of the API. The reason is stable and for
// programs; the texts may change in every release.
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

// newExplainView converts an explanation for JSON. It writes empty lists instead of null, so a
// script can iterate without a check. The explanations in Others have the same type, and their
// own lists Others are empty.
func newExplainView(x admin.Explanation) explainView {
	view := explainView{Sentence: x.Sentence, When: jsonTime(x.When), Reason: x.Reason, Certainty: x.Certainty,
		Notes: append([]string{}, x.Notes...), Evidence: eventsJSON(x.Evidence), Others: []explainView{}}
	// The id is the `sid` of the session's access tokens. `users list --session` finds the
	// account by it.
	if x.Session != nil {
		view.Session = x.Session.ID
	}
	for _, other := range x.Others {
		view.Others = append(view.Others, newExplainView(other))
	}
	return view
}
