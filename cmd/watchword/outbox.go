package main

import (
	"context"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

// mailCmd shows the outbox. A mail that was sent is no longer in it.
type mailCmd struct {
	List  mailList  `cmd:"" help:"List mails that wait or were given up."`
	Retry mailRetry `cmd:"" help:"Try a mail again now, or all of them."`
}

type mailList struct {
	Max  int  `name:"max" default:"1000" help:"List at most so many."`
	JSON bool `name:"json" help:"Print JSON."`
}

// mailView is a mail of the outbox in JSON.
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

func (c *mailList) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	mails, err := s.engine.Operator().Mails(ctx, max(c.Max, 1))
	if err != nil {
		return err
	}
	if c.JSON {
		views := make([]mailView, len(mails))
		for i, m := range mails {
			views[i] = mailView{m.ID, m.Kind, m.To, mailState(m), m.Attempts, m.LastError, stamp(m.CreatedAt), stamp(nextTry(m))}
		}
		return p.printJSON(map[string]any{"mails": views})
	}
	t := newTable("ID", "KIND", "TO", "STATE", "TRIES", "MADE", "NEXT TRY", "LAST ERROR")
	for _, m := range mails {
		t.row(m.ID, string(m.Kind), string(m.To), mailState(m), fmt.Sprint(m.Attempts), clock(m.CreatedAt), clock(nextTry(m)), m.LastError)
	}
	return p.printTable(t)
}

func mailState(m watchword.Mail) string {
	if !m.GivenUpAt.IsZero() {
		return "given-up"
	}
	return "waiting"
}

// nextTry is the zero time if there is none.
func nextTry(m watchword.Mail) time.Time {
	if !m.GivenUpAt.IsZero() {
		return time.Time{}
	}
	return m.NextAt
}

type mailRetry struct {
	ID   string `arg:"" optional:"" help:"Id of the mail; without it, all."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *mailRetry) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	retried, err := s.engine.Operator().RetryMail(ctx, c.ID)
	if err != nil {
		return err
	}
	if retried == 0 && c.ID != "" {
		return fmt.Errorf("there is no such mail in the outbox. List them with `watchword mail list`")
	}
	if c.JSON {
		return p.printJSON(map[string]any{"retried": retried})
	}
	p.say("%d to be tried again while the server runs.", retried)
	return nil
}
