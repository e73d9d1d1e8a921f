package factors_test

import (
	"bytes"
	"context"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/mail"
	mailer "github.com/watchword-auth/watchword/mail/smtp"
)

type mailServer struct{ accepted chan []byte }

func (s mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return s, nil }
func (mailServer) Mail(string, *smtp.MailOptions) error          { return nil }
func (mailServer) Rcpt(string, *smtp.RcptOptions) error          { return nil }
func (mailServer) Reset()                                        {}
func (mailServer) Logout() error                                 { return nil }

func (s mailServer) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	s.accepted <- content
	return err
}

func startMailServer(t *testing.T) (mailServer, watchword.Mailer) {
	t.Helper()
	s := mailServer{make(chan []byte, 100)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := smtp.NewServer(s)
	server.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }() //nolint:errcheck // Serve returns an error after Close
	t.Cleanup(func() { server.Close(); <-done })              //nolint:errcheck // the test has ended
	texts, err := mail.NewRenderer(mail.Options{PublicURL: "https://id.example.com", Product: "Otter Post"})
	must(t, err)
	sender, err := mailer.New(mailer.Options{
		URL: watchword.Secret("smtp://" + listener.Addr().String()), From: "no-reply@example.com", Renderer: texts})
	must(t, err)
	return s, sender
}

// awaitMail returns the subject and the plain text.
func (s mailServer) awaitMail(t *testing.T) (subject, text string) {
	t.Helper()
	var raw []byte
	select {
	case raw = <-s.accepted:
	case <-time.After(time.Minute):
		t.Fatal("the mail server received no mail")
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	must(t, err)
	subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	must(t, err)
	_, outer, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	must(t, err)
	related, err := multipart.NewReader(m.Body, outer["boundary"]).NextRawPart()
	must(t, err)
	_, inner, err := mime.ParseMediaType(related.Header.Get("Content-Type"))
	must(t, err)
	part, err := multipart.NewReader(related, inner["boundary"]).NextRawPart()
	must(t, err)
	plain, err := io.ReadAll(quotedprintable.NewReader(part))
	must(t, err)
	return subject, strings.ReplaceAll(string(plain), "\r\n", "\n")
}

func (r *rig) sendMailsToServer(t *testing.T) (s mailServer) {
	t.Helper()
	s, r.mailRelay = startMailServer(t)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return s
}

func (r *rig) outbox(t *testing.T) []watchword.Mail {
	t.Helper()
	all, err := r.Operator().Mails(t.Context(), 10)
	must(t, err)
	return all
}

// assertMail checks that the plain text contains every expected part. The expected parts are one string, with the
// separator |.
func (s mailServer) assertMail(t *testing.T, subject, parts string) {
	t.Helper()
	got, text := s.awaitMail(t)
	if got != subject {
		t.Errorf("the subject is %q, want %q", got, subject)
	}
	for _, part := range strings.Split(parts, "|") {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not contain %q:\n%s", subject, part, text)
		}
	}
}

var firefox = watchword.Client{Address: netip.MustParseAddr("203.0.113.7"), Device: "Firefox on Linux"}

// LOG-6
func TestChangesOfFactorsAreMailed(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a, server := r.createAccount(t, "ada@example.com"), r.sendMailsToServer(t)
		const when = "When:        29 November 2026, 12:0"
		const used = "A recovery code of your Otter Post account was used"
		r.addTOTP(t, a)
		server.assertMail(t, "An authenticator app was added to your Otter Post account",
			"Name:        Authenticator app|203.0.113.7|/forgot|"+when)
		app := a.factor
		r.addPasskey(t, a, newDevice())
		server.assertMail(t, "A passkey was added to your Otter Post account", "Name:        Passkey|203.0.113.7|"+when)
		must(t, r.Remove(t.Context(), a.who, a.factor.ID, firefox))
		server.assertMail(t, "A passkey was removed from your Otter Post account",
			"Name:        Passkey|signed out|Device:      Firefox on Linux|"+when)

		in, err := r.loginWithRecoveryCode(r.passwordChallenge(t, a, phone), a.codes[0])
		must(t, err)
		server.assertMail(t, used, "You have 9 recovery codes left.|198.51.100.9|/account|"+when)
		for n, left := range []string{"8", "7", "6", "5", "4", "3"} {
			a.who = r.identity(t, in)
			_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{
				Proof: factors.Proof{RecoveryCode: a.codes[n+1]}, Client: laptop})
			must(t, err)
			server.assertMail(t, used, "You have "+left+" recovery codes left.")
		}
		must(t, r.Remove(t.Context(), r.identity(t, in), app.ID, laptop))
		server.assertMail(t, "An authenticator app was removed from your Otter Post account",
			"Name:        Authenticator app|Two-step sign-in is now off.")
		must(t, r.Manager.Reset(t.Context(), "ops", a.who.User.ID))
		server.assertMail(t, "Two-step sign-in of your Otter Post account was reset",
			"/login|signed out on all devices")
	}, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
}

// RL-15
func TestNoticesOfFactorsCostTheBudgetOfTheAccount(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		server := r.sendMailsToServer(t)
		server.assertMail(t, "An authenticator app was added to your Otter Post account", "")
		for n := range 7 {
			_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{
				Proof: factors.Proof{RecoveryCode: a.codes[n]}, Client: laptop})
			must(t, err)
			switch {
			case n < 4:
				server.assertMail(t, "A recovery code of your Otter Post account was used", "")
			case n == 4:
				server.assertMail(t, "More changes to your Otter Post account", "There were more changes")
			}
		}
		for len(r.outbox(t)) > 0 { // the engine deletes a mail shortly after the server has accepted it
			time.Sleep(5 * time.Millisecond)
		}
		if more := len(server.accepted); more > 0 {
			t.Errorf("%d more mails were sent", more)
		}
	})
}

// A change and its mail are committed together. A failed change therefore sends no mail.
func TestRefusedChangeIsNotMailed(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		wantCode(t, r.Remove(t.Context(), a.who, "nothing", laptop), watchword.CodeNotFound)
		_, _, err := r.StepUp(t.Context(), a.who, factors.StepUpRequest{
			Proof: factors.Proof{RecoveryCode: "0000000000"}, Client: laptop})
		wantCode(t, err, watchword.CodeFactorWrong)
		waiting := r.outbox(t)
		if len(waiting) != 2 || waiting[0].Kind != watchword.MailVerify || waiting[1].Kind != watchword.MailTOTPAdded {
			t.Errorf("the outbox has %v", waiting)
		}
	})
}
