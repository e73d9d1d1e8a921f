package main

import (
	"context"
	"time"
)

// mailTest sends one real mail through mail-url and prints the reply of the mail server. It
// finds more mistakes than `watchword doctor`, which only signs in: many servers check the
// sender and the recipient later. The mail does not go through the outbox, so the result is
// known at once, and no store is needed.
type mailTest struct {
	Address string `arg:"" help:"Where to send the mail."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// mailTestTimeout is the time limit for the mail server. Some servers greet slowly on purpose,
// to keep spammers away.
const mailTestTimeout = 30 * time.Second

// Run needs a mail server. Without one, mails go to the development mailbox, which accepts
// every mail.
func (c *mailTest) Run(ctx context.Context, p *program) error {
	if err := p.sources.allFaults(p.settings); err != nil {
		return err
	}
	if p.settings.MailURL == "" {
		return faults{{"mail test", "needs a mail server. Set mail-url and mail-from."}}
	}
	sender, err := p.settings.newSMTPSender()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTestTimeout)
	defer cancel()
	// The public URL in the text distinguishes installations that share a mail server.
	reply, err := sender.SendTrial(ctx, c.Address, p.settings.PublicURL)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(map[string]any{"accepted": true, "reply": reply})
	}
	p.say("The mail server accepted the mail: %s", reply)
	p.say("Check the inbox and the spam folder of %s.", c.Address)
	return nil
}
