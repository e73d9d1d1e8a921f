package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/smtp"
)

const from = "Öttër Post <no-reply@example.com>"

var credentials = url.UserPassword(user, password).String() + "@"

func renderer(t *testing.T) *mail.Renderer {
	t.Helper()
	now := time.Date(2026, 11, 24, 13, 50, 0, 0, time.UTC)
	r, err := mail.NewRenderer(mail.Options{
		PublicURL: "https://auth.example.com",
		Product:   "Öttër Post",
		Now:       func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func message() watchword.Message {
	return watchword.Message{
		ID:      "019ab5d2-3c00-7000-8000-000000000001",
		Kind:    watchword.MailReset,
		To:      "ada@example.org",
		Name:    "María José",
		Token:   "wwm_Zm9yIHRlc3RzIG9ubHktX2Zvcg",
		Expires: time.Date(2026, 11, 24, 14, 5, 0, 0, time.UTC),
	}
}

func sender(t *testing.T, mailURL string, roots *x509.CertPool) *smtp.Sender {
	t.Helper()
	s, err := smtp.New(smtp.Options{URL: watchword.Secret(mailURL), From: from, Renderer: renderer(t), RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// remoteSender returns a sender that believes it sends to mail.example.com, but connects to address.
func remoteSender(t *testing.T, scheme, address string, roots *x509.CertPool) *smtp.Sender {
	t.Helper()
	s := sender(t, scheme+"://"+credentials+"mail.example.com", roots)
	s.ConnectTo(address)
	return s
}

// CFG-2
func TestSendUsesTLSAndAuthenticates(t *testing.T) {
	t.Parallel()
	certificate, roots := createCertificate(t, "mail.example.com")
	for scheme, a := range map[string]behaviour{
		"smtp":  {certificate: certificate},
		"smtps": {certificate: certificate, implicitTLS: true},
	} {
		server := start(t, a)
		s := remoteSender(t, scheme, server.address, roots)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		if err := s.Send(t.Context(), message()); err != nil {
			t.Fatalf("%s: %v", scheme, err)
		}
		want := []string{"AUTH", "AUTH", "MAIL no-reply@example.com", "RCPT ada@example.org", "DATA"}
		if got := server.commands(); !slices.Equal(got, want) {
			t.Errorf("%s: the server received %q", scheme, got)
		}
		if server.tlsVersion() < tls.VersionTLS12 {
			t.Errorf("%s: TLS %x", scheme, server.tlsVersion())
		}
		checkMail(t, server.acceptedMails()[0])
	}
}

// checkMail parses the mail as the recipient's mail program does.
func checkMail(t *testing.T, raw string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	words, err := renderer(t).Render(message())
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"From":           `Öttër Post <no-reply@example.com>`,
		"To":             `<ada@example.org>`,
		"Subject":        words.Subject,
		"Message-ID":     "<019ab5d2-3c00-7000-8000-000000000001@example.com>",
		"Auto-Submitted": "auto-generated",
	} {
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(header))
		if err != nil || strings.ReplaceAll(got, `"`, "") != want || len(m.Header[header]) > 1 {
			t.Errorf("%s is %q (%v), want %q", header, got, err, want)
		}
	}
	if date, err := m.Header.Date(); err != nil || time.Since(date) > time.Minute {
		t.Errorf("Date is %v, %v", date, err)
	}
	// The logo must be in one part with the HTML (RFC 2387), so that mail programs do not list it as an attachment.
	related := openMultipart(t, m.Body, m.Header.Get("Content-Type"), "multipart/related")
	part, err := related.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	parts := openMultipart(t, part, part.Header.Get("Content-Type"), "multipart/alternative")
	for _, want := range []struct{ kind, body string }{{"text/plain", words.Text}, {"text/html", words.HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		if got := part.Header.Get("Content-Type"); err != nil || !strings.HasPrefix(got, want.kind) ||
			text != want.body {
			t.Errorf("%s, want %s (%v):\n%s", got, want.kind, err, text)
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("there are more than two parts: %v", err)
	}
	logo, err := related.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, logo))
	if err != nil || !bytes.Equal(picture, words.Logo) || logo.Header.Get("Content-ID") != "<logo>" ||
		!strings.HasPrefix(logo.Header.Get("Content-Type"), "image/png") ||
		!strings.HasPrefix(logo.Header.Get("Content-Disposition"), "inline") {
		t.Errorf("the logo is %d bytes with %v, %v", len(picture), logo.Header, err)
	}
}

func openMultipart(t *testing.T, body io.Reader, contentType, wantType string) *multipart.Reader {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != wantType {
		t.Fatalf("Content-Type is %s, want %s: %v", kind, wantType, err)
	}
	return multipart.NewReader(body, params["boundary"])
}

// CFG-2
func TestServerWithoutAValidCertificateReceivesNoCommands(t *testing.T) {
	t.Parallel()
	right, roots := createCertificate(t, "mail.example.com")
	wrong, wrongRoots := createCertificate(t, "evil.example")
	for _, c := range []struct {
		name, scheme string
		answers      behaviour
		roots        *x509.CertPool
		want         string
	}{
		{"STARTTLS was removed", "smtp", behaviour{authWithoutTLS: true}, roots, "STARTTLS"},
		{"STARTTLS and AUTH were removed", "smtp", behaviour{}, roots, "STARTTLS"},
		{"untrusted certificate", "smtp", behaviour{certificate: right}, nil, "unknown authority"},
		{"untrusted certificate", "smtps", behaviour{certificate: right, implicitTLS: true}, nil, "unknown authority"},
		{"certificate for another host", "smtp", behaviour{certificate: wrong}, wrongRoots, "not mail.example.com"},
		{"certificate for another host",
			"smtps", behaviour{certificate: wrong, implicitTLS: true}, wrongRoots, "not mail.example.com"},
		{"TLS 1.1", "smtp", behaviour{certificate: right, maxTLS: tls.VersionTLS11}, roots, "protocol version"},
		{"TLS 1.1", "smtps",
			behaviour{certificate: right, maxTLS: tls.VersionTLS11, implicitTLS: true}, roots, "protocol version"},
		{"no TLS", "smtps", behaviour{authWithoutTLS: true}, roots, "TLS handshake"},
	} {
		t.Run(c.name+" "+c.scheme, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.answers)
			s := remoteSender(t, c.scheme, server.address, c.roots)
			for _, err := range []error{s.Send(t.Context(), message()), s.Check(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want one with %q", err, c.want)
				}
			}
			if heard := server.commands(); len(heard) > 0 {
				t.Errorf("the server received %q", heard)
			}
		})
	}
}

func TestTLSIsOptionalOnLoopback(t *testing.T) {
	t.Parallel()
	certificate, roots := createCertificate(t, "localhost", "127.0.0.1")
	for _, c := range []struct {
		name, host string
		answers    behaviour
		roots      *x509.CertPool
		signIn     bool
		encrypted  bool
	}{
		{name: "plain", host: "127.0.0.1"},
		{name: "plain by name", host: "localhost"},
		{name: "untrusted certificate", host: "127.0.0.1", answers: behaviour{certificate: certificate}},
		{name: "signed in, plain", host: "127.0.0.1", answers: behaviour{authWithoutTLS: true}, signIn: true},
		{name: "signed in, encrypted", host: "localhost", answers: behaviour{certificate: certificate}, roots: roots,
			signIn: true, encrypted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.answers)
			mailURL := "smtp://" + c.host + ":" + server.port
			if c.signIn {
				mailURL = "smtp://" + credentials + c.host + ":" + server.port
			}
			s := sender(t, mailURL, c.roots)
			s.ConnectTo(server.address)
			if err := s.Send(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			if len(server.acceptedMails()) != 1 || (server.tlsVersion() != 0) != c.encrypted ||
				slices.Contains(server.commands(), "AUTH") != c.signIn {
				t.Errorf("%d mails, TLS %x, %q", len(server.acceptedMails()), server.tlsVersion(), server.commands())
			}
		})
	}
}

func TestRejectionSaysWhetherARetryCanHelp(t *testing.T) {
	t.Parallel()
	temporary := &gosmtp.SMTPError{
		Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "greylisted,\ncome\x1b[2J back"}
	permanent := &gosmtp.SMTPError{
		Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such\nuser\x1b[2J"}
	const now, good = "refused it for now: ", "refused it for good: "
	for name, c := range map[string]struct {
		answers behaviour
		want    []string
	}{
		"sender, temporary":    {behaviour{mail: temporary}, []string{now, "451", "greylisted"}},
		"sender, permanent":    {behaviour{mail: permanent}, []string{good, "550", "no such"}},
		"recipient, temporary": {behaviour{rcpt: temporary}, []string{now, "451"}},
		"recipient, permanent": {behaviour{rcpt: permanent}, []string{good, "550"}},
		"data, temporary":      {behaviour{data: temporary}, []string{now, "451"}},
		"data, permanent":      {behaviour{data: permanent}, []string{good, "550"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.answers)
			s := sender(t, "smtp://127.0.0.1:"+server.port, nil)
			err := s.Send(t.Context(), message())
			if err == nil {
				t.Fatal("the rejected mail returned no error")
			}
			for _, want := range append(c.want, "127.0.0.1 port "+server.port) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(err.Error(), string(message().Token)) {
				t.Errorf("%q has control characters or the token", err)
			}
		})
	}
}

// LOG-3
func TestPasswordInAServerReplyIsRedacted(t *testing.T) {
	t.Parallel()
	certificate, roots := createCertificate(t, "mail.example.com")
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	server := start(t, behaviour{certificate: certificate, auth: &gosmtp.SMTPError{
		Code: 535, EnhancedCode: gosmtp.EnhancedCode{5, 7, 8}, Message: "not " + password + " nor " + plain,
	}})
	s := remoteSender(t, "smtp", server.address, roots)
	for _, err := range []error{s.Send(t.Context(), message()), s.Check(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "for good: SMTP AUTH failed: 535") ||
			!strings.Contains(err.Error(), "not [redacted] nor [redacted]") {
			t.Errorf("got %v", err)
		}
	}
	if heard := server.commands(); !slices.Equal(heard, []string{"AUTH", "AUTH"}) {
		t.Errorf("the server received %q", heard)
	}
}

func TestSendReturnsWhenTheContextEndsDuringAStall(t *testing.T) {
	t.Parallel()
	stall := make(chan struct{})
	server := start(t, behaviour{acceptAfterClose: stall})
	t.Cleanup(func() { close(stall) })
	s := sender(t, "smtp://127.0.0.1:"+server.port, nil)

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-server.stalls
		cancel()
	}()
	if err := s.Send(ctx, message()); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, message()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v, want context.DeadlineExceeded", err)
	}
}

// If connecting takes longer than the deadline, the error must be DeadlineExceeded, although the dialer's own timer
// may fire first. On a fast machine, the mail may be sent before the deadline, which is not a failure.
func TestDeadlineIsTheErrorOfADialThatTakesTooLong(t *testing.T) {
	t.Parallel()
	server := start(t, behaviour{})
	s := sender(t, "smtp://127.0.0.1:"+server.port, nil)
	for range 300 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Microsecond)
		if err := s.Send(ctx, message()); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
}

func TestHangUpAfterAcceptanceIsNotAnError(t *testing.T) {
	t.Parallel()
	server := start(t, behaviour{hangUpAfterMail: true})
	s := sender(t, "smtp://127.0.0.1:"+server.port, nil)
	if err := s.Send(t.Context(), message()); err != nil {
		t.Error(err)
	}
	if len(server.acceptedMails()) != 1 {
		t.Errorf("%d mails", len(server.acceptedMails()))
	}
}

// RST-9, IN-6
func TestMessageCannotInjectHeadersOrRecipients(t *testing.T) {
	t.Parallel()
	server := start(t, behaviour{})
	s := sender(t, "smtp://127.0.0.1:"+server.port, nil)
	for _, to := range []watchword.Address{
		"", "ada@example.org\r\nBcc: eve@evil.example", "ada@example.org,eve@evil.example", "Ada <ada@example.org>",
		`"eve@evil.example"@example.org`, "Ada@example.org", "ada@example.org>\r\nDATA",
	} {
		m := message()
		m.To = to
		if err := s.Send(t.Context(), m); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
	if heard := server.commands(); len(heard) > 0 {
		t.Errorf("the server received %q", heard)
	}

	const evil = "x\r\nBcc: eve@evil.example\r\n\r\n<b>evil"
	m := message()
	m.ID, m.Name, m.Device, m.MailFacts.Address = evil, evil, evil, evil
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(strings.NewReader(server.acceptedMails()[0]))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil || got.Header.Get("Bcc") != "" || strings.Contains(string(body), "evil") ||
		strings.Contains(server.acceptedMails()[0], "\r\nBcc:") {
		t.Errorf("%v\n%s", err, server.acceptedMails()[0])
	}
	if recipients := slices.DeleteFunc(server.commands(), func(c string) bool {
		return !strings.HasPrefix(c,
			"RCPT")
	}); !slices.Equal(recipients, []string{"RCPT ada@example.org"}) {
		t.Errorf("sent to %q", recipients)
	}
}

func TestUnreachableServerIsAnError(t *testing.T) {
	t.Parallel()
	server := start(t, behaviour{})
	s := sender(t, "smtp://127.0.0.1:1", nil)
	for _, err := range []error{s.Send(t.Context(), message()), s.Check(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1 port 1") {
			t.Errorf("got %v", err)
		}
	}
	if err := sender(t, "smtp://127.0.0.1:"+server.port, nil).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// LOG-3
func TestNewRejectsInvalidOptions(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	for name, o := range map[string]smtp.Options{
		"no options":           {},
		"other scheme":         {URL: "https://me:" + secret + "@mail.example.com"},
		"bad escape":           {URL: "smtp://me:" + secret + "%@mail.example.com"},
		"no scheme":            {URL: "me:" + secret + "@mail.example.com:587"},
		"no host":              {URL: "smtp://me:" + secret + "@"},
		"bad port":             {URL: "smtp://me:" + secret + "@mail.example.com:65536"},
		"port with letters":    {URL: "smtp://me:" + secret + "@mail.example.com:x"},
		"no password":          {URL: "smtp://me@mail.example.com"},
		"no user":              {URL: "smtp://:" + secret + "@mail.example.com"},
		"a path":               {URL: "smtp://me:" + secret + "@mail.example.com/x"},
		"a query":              {URL: "smtp://me:" + secret + "@mail.example.com?tls=off"},
		"a line in the user":   {URL: "smtp://me%0d%0aQUIT:" + secret + "@mail.example.com"},
		"no sender":            {URL: "smtp://mail.example.com", From: " "},
		"sender of one word":   {URL: "smtp://mail.example.com", From: "me"},
		"a line in sender":     {URL: "smtp://mail.example.com", From: "a@example.com\r\nBcc: b@example.com"},
		"two senders":          {URL: "smtp://mail.example.com", From: "a@example.com, b@example.com"},
		"quoted sender":        {URL: "smtp://mail.example.com", From: `"a@evil.example"@example.com`},
		"password in fragment": {URL: "smtp://mail.example.com#" + secret},
	} {
		if o.From == "" {
			o.From = from
		}
		o.Renderer = renderer(t)
		_, err := smtp.New(o)
		if err == nil {
			t.Errorf("%s was accepted", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if _, err := smtp.New(smtp.Options{URL: "smtp://localhost", From: from}); err == nil {
		t.Error("options without a renderer were accepted")
	}
	if _, err := smtp.New(smtp.Options{
		URL: "smtps://me:%2Fx@[::1]:4650/", From: "a@example.com", Renderer: renderer(t)}); err != nil {
		t.Error(err)
	}
}
