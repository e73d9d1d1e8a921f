package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// mailCmd shows and retries the mails of the outbox. The running server sends these mails
// through mail-url, and removes a mail when it is sent. The commands only change the outbox,
// except test, which sends a mail itself.
type mailCmd struct {
	List  mailList  `cmd:"" help:"List mails that are waiting or were abandoned."`
	Retry mailRetry `cmd:"" help:"Retry one mail now, or all of them."`
	Test  mailTest  `cmd:"" help:"Send a test mail now, and print the reply of the mail server."`
}

// mailList shows why mails are late. It prints the last error in the words of the mail server.
type mailList struct {
	Max  int  `name:"max" default:"1000" help:"Most mails to list."`
	JSON bool `name:"json" help:"Print JSON."`
}

// mailView is a mail of the outbox in JSON. It has no body and no token, because an operator
// must not be able to use a user's link.
type mailView struct {
	ID        string             `json:"id"`
	Kind      watchword.MailKind `json:"kind"`
	To        watchword.Address  `json:"to"`
	State     string             `json:"state"`
	Attempts  int                `json:"attempts"`
	LastError string             `json:"lastError"`
	CreatedAt *time.Time         `json:"createdAt"`
	NextAt    *time.Time         `json:"nextAt"`
}

// Run lists at least one mail, because --max=0 is most likely a mistake.
func (c *mailList) Run(ctx context.Context, p *program) error {
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	mails, err := s.operator.Mails(ctx, max(c.Max, 1))
	if err != nil {
		return err
	}
	if c.JSON {
		views := make([]mailView, len(mails))
		for i, m := range mails {
			views[i] = mailView{m.ID, m.Kind, m.To, mailState(m), m.Attempts, m.LastError, jsonTime(m.CreatedAt),
				jsonTime(nextAttempt(m))}
		}
		return p.printJSON(map[string]any{"mails": views})
	}
	// The error is the last column, because the text of a mail server can be long.
	t := newTable("ID", "KIND", "TO", "STATE", "ATTEMPTS", "CREATED", "NEXT ATTEMPT", "LAST ERROR")
	for _, m := range mails {
		t.addRow(m.ID, string(m.Kind), string(m.To), mailState(m), fmt.Sprint(m.Attempts), tableTime(m.CreatedAt),
			tableTime(nextAttempt(m)), m.LastError)
	}
	return p.printTable(t)
}

// mailState returns waiting or given-up. Scripts rely on these two words. A mail that is being
// sent is still waiting, because only success removes it.
func mailState(m watchword.Mail) string {
	if !m.GivenUpAt.IsZero() {
		return "given-up"
	}
	return "waiting"
}

// nextAttempt returns when the mail will be tried again, or the zero time for an abandoned
// mail.
func nextAttempt(m watchword.Mail) time.Time {
	if !m.GivenUpAt.IsZero() {
		return time.Time{}
	}
	return m.NextAt
}

// mailRetry schedules one mail or all mails for now, including mails that were abandoned after
// the last attempt.
type mailRetry struct {
	ID   string `arg:"" optional:"" help:"Id of the mail; without it, all."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run fails for an unknown id. Without an id, a count of 0 is not an error. The count includes
// only mails whose due time has changed. The command does not wait until these mails are sent.
func (c *mailRetry) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	retried, err := s.operator.RetryMail(ctx, c.ID)
	if err != nil {
		return err
	}
	// With an id, 0 means that the id is wrong or that the mail was sent in the meantime.
	if retried == 0 && c.ID != "" {
		return fmt.Errorf("there is no such mail in the outbox. List them with `watchword mail list`")
	}
	if c.JSON {
		return p.printJSON(map[string]any{"retried": retried})
	}
	p.say("Mails to retry: %d. The server sends them when it runs.", retried)
	return nil
}
