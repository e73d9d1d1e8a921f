package smtp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/watchword-auth/watchword/internal/address"
)

// SendTrial sends a short plain mail without a link to an operator. It uses the same server and the same sender's
// address as all other mails. It returns the server's reply to the content, such as "2.0.0 Ok: queued as 4F0". The
// reply is one line and contains no password. If the server refuses the mail, the error contains the reply.
//
// Unstable: for the program watchword.
func (s *Sender) SendTrial(ctx context.Context, to, publicURL string) (reply string, err error) {
	canonical, err := address.Parse(to)
	if err != nil {
		return "", errors.New("the recipient is not an address such as ada@example.com")
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(message.From(s.fromHeader), message.To(canonical)); err != nil {
		return "", err
	}
	message.Subject("Test mail from Watchword")
	message.SetDate()
	message.SetMessageID()
	message.SetGenHeader("Auto-Submitted", "auto-generated") // prevents automatic replies (RFC 3834, section 5)
	message.SetBodyString(gomail.TypeTextPlain, "This is a test mail from the Watchword server at "+publicURL+".\n\n"+
		"An operator sent it with `watchword mail test`. If you can read it, users receive their mails, too.\n")
	err = s.runSession(ctx, func(client *gomail.Client, server *smtp.Client) error {
		return client.SendWithSMTPClient(server, message)
	})
	if err != nil && !message.IsDelivered() {
		return "", fmt.Errorf("send mail through %s: %w", s.relay.hostAndPort(), err)
	}
	reply = strings.Join(strings.Fields(message.ServerResponse()), " ")
	if s.relay.user != "" {
		reply = s.relay.withoutPassword(reply)
	}
	return reply, nil
}
