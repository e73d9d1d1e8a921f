package smtp_test

import (
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail/smtp"
)

func trialSender(t *testing.T, s *fakeServer, from string) *smtp.Sender {
	t.Helper()
	sender, err := smtp.New(smtp.Options{
		URL: watchword.Secret("smtp://" + credentials + "127.0.0.1:" + s.port), From: from, Renderer: renderer(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestTrialMailReturnsTheReplyOfTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, behaviour{authWithoutTLS: true})
	reply, err := trialSender(t, s, from).SendTrial(t.Context(), "Ada@Example.com", "https://auth.example.com")
	if err != nil || !strings.Contains(reply, "OK: queued") || strings.Contains(reply, password) {
		t.Errorf("the reply is %q, %v", reply, err)
	}
	mails := s.acceptedMails()
	if len(mails) != 1 {
		t.Fatalf("the server took %d mails", len(mails))
	}
	for _, part := range []string{
		"To: <ada@example.com>", "no-reply@example.com", "https://auth.example.com", "Message-ID: ",
	} {
		if !strings.Contains(mails[0], part) {
			t.Errorf("the mail lacks %q:\n%s", part, mails[0])
		}
	}
}

// A trial mail must return the server's refusal of the sender, the recipient or the content. The command doctor can't
// find such a refusal, because it only signs in to the server.
func TestTrialMailReturnsTheRefusalOfTheServer(t *testing.T) {
	t.Parallel()
	refusal := &gosmtp.SMTPError{
		Code: 553, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "sender not owned by otter",
	}
	for name, a := range map[string]behaviour{
		"sender": {authWithoutTLS: true, mail: refusal}, "recipient": {authWithoutTLS: true, rcpt: refusal},
		"content": {authWithoutTLS: true, data: refusal},
	} {
		s := start(t, a)
		sender := trialSender(t, s, from)
		if err := sender.Check(t.Context()); err != nil {
			t.Errorf("%s: check: %v", name, err)
		}
		reply, err := sender.SendTrial(t.Context(), "ada@example.com", "https://auth.example.com")
		if reply != "" || err == nil || !strings.Contains(err.Error(), "sender not owned by otter") ||
			!strings.Contains(err.Error(), "for good") {
			t.Errorf("%s: reply %q, %v", name, reply, err)
		}
	}
	for _, to := range []string{"", "ada", "ada@example.com\r\nBcc: eve@example.com"} {
		sender := trialSender(t, start(t, behaviour{authWithoutTLS: true}), from)
		if _, err := sender.SendTrial(t.Context(), to, "x"); err == nil {
			t.Errorf("%q: no error", to)
		}
	}
}
