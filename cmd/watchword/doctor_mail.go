package main

import (
	"context"
	"time"
)

// checkMailServer signs in without sending a mail. It gives up after 15 seconds. The most
// common mistake is a wrong password, which would otherwise be noticed only when a user waits
// for a mail. The sender address is not tested, because some servers check it only for a real
// recipient. The check uses the same TLS rules as the delivery of mails. It therefore finds a
// certificate of the mail server that Watchword would reject.
func (d *checkup) checkMailServer(ctx context.Context, p *program) {
	if p.settings.MailURL == "" {
		d.pass("mail", "mails go to the development mailbox, "+p.settings.PublicURL+"/dev/mail")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	sender, err := p.settings.newSMTPSender()
	if err == nil {
		err = sender.Check(ctx)
	}
	if err != nil {
		d.fail("mail", "the mail server refused the connection or the sign-in: "+oneLine(err.Error()),
			"Check mail-url: host, port, user and password.")
		return
	}
	d.pass("mail", "the mail server accepted the sign-in")
}
