// Package smtp sends mails through one mail server (RFC 5321, RFC 6409). It handles TLS,
// authentication and the replies of the server. Package mail renders the text, and the engine
// decides when to retry.
package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/weborigin"
	"github.com/watchword-auth/watchword/mail"
)

// sessionTimeout limits one connection to the mail server. A deadline of the context can end it earlier.
const sessionTimeout = 30 * time.Second

// Options configure a Sender.
type Options struct {
	// URL is smtp://user:password@host:587 or smtps://user:password@host:465. It is required. Without user and
	// password, the sender does not authenticate.
	//
	// With smtp, STARTTLS is required, except on loopback. On loopback, the sender uses STARTTLS only if the server
	// offers it and the sender authenticates.
	URL watchword.Secret

	From     string         // the sender's address, as in "Example <no-reply@example.com>"; required
	Renderer *mail.Renderer // renders the mails; required
	RootCAs  *x509.CertPool // trusted certificate authorities; default: those of the system
}

// A Sender sends each mail over a new connection. Create one with New. It is safe for concurrent use.
type Sender struct {
	relay      relay
	client     []gomail.Option
	tls        *tls.Config
	fromHeader string
	fromDomain string
	renderer   *mail.Renderer
	dial       func(ctx context.Context, network, address string) (net.Conn, error)
}

var _ watchword.Mailer = (*Sender)(nil)

// New returns a Sender without connecting to the server. Its errors name the invalid option and never contain the
// password.
func New(o Options) (*Sender, error) {
	if o.Renderer == nil {
		return nil, errors.New("smtp: a renderer is required")
	}
	relay, err := parseRelay(o.URL)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	from, domain, err := parseFrom(o.From)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	s := &Sender{
		relay:      relay,
		tls:        &tls.Config{ServerName: relay.host, MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		fromHeader: from.String(),
		fromDomain: domain,
		renderer:   o.Renderer,
		dial:       (&net.Dialer{}).DialContext,
	}
	s.client = []gomail.Option{
		gomail.WithPort(relay.port),
		gomail.WithTimeout(sessionTimeout),
		gomail.WithHELO(domain),
		gomail.WithTLSConfig(s.tls),
		gomail.WithTLSPolicy(relay.startTLSPolicy()),
		gomail.WithoutNoop(),
		gomail.WithoutSMTPUTF8(), // not needed, because watchword.Address is ASCII
	}
	if relay.user != "" {
		s.client = append(s.client, gomail.WithUsername(relay.user), gomail.WithPassword(relay.password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return s, nil
}

// startTLSPolicy does not require TLS on loopback, where TLS adds little protection and the certificate of a local
// relay is rarely valid.
func (r relay) startTLSPolicy() gomail.TLSPolicy {
	switch {
	case r.implicitTLS: // TLS is already active
		return gomail.NoTLS
	case !weborigin.IsLoopback(r.host):
		return gomail.TLSMandatory
	case r.user != "":
		return gomail.TLSOpportunistic
	}
	return gomail.NoTLS
}

// Send sends a mail. If the connection fails after the server has accepted the mail, Send returns nil, because a
// retry would send the mail twice.
func (s *Sender) Send(ctx context.Context, m watchword.Message) error {
	message, err := s.composeMessage(m)
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	err = s.runSession(ctx, func(client *gomail.Client, server *smtp.Client) error {
		return client.SendWithSMTPClient(server, message)
	})
	if err != nil && !message.IsDelivered() {
		return fmt.Errorf("send mail through %s: %w", s.relay.hostAndPort(), err)
	}
	return nil
}

// Check connects, starts TLS and authenticates, without sending a mail.
//
// Unstable: for the program watchword.
func (s *Sender) Check(ctx context.Context) error {
	err := s.runSession(ctx, func(_ *gomail.Client, server *smtp.Client) error { return server.Noop() })
	if err != nil {
		return fmt.Errorf("check mail server %s: %w", s.relay.hostAndPort(), err)
	}
	return nil
}

func (s *Sender) composeMessage(m watchword.Message) (*gomail.Msg, error) {
	if to, err := address.Parse(string(m.To)); err != nil || to != string(m.To) {
		return nil, errors.New("the recipient's address is not canonical")
	}
	words, err := s.renderer.Render(m)
	if err != nil {
		return nil, err
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(message.From(s.fromHeader), message.To(string(m.To))); err != nil {
		return nil, err
	}
	message.Subject(words.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(m.ID + "@" + s.fromDomain) // so that receivers recognize a duplicate
	message.SetGenHeader("Auto-Submitted", "auto-generated") // prevents automatic replies (RFC 3834, section 5)
	message.SetBodyString(gomail.TypeTextPlain, words.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, words.HTML)
	if words.Logo == nil {
		return message, nil
	}
	return message, message.EmbedReader("logo.png", bytes.NewReader(words.Logo), gomail.WithFileContentID("<logo>"))
}

// runSession connects, authenticates, calls sendCommands and quits. The session ends after sessionTimeout, or earlier
// if ctx ends.
func (s *Sender) runSession(ctx context.Context, sendCommands func(*gomail.Client, *smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	connect := func(context.Context, string, string) (net.Conn, error) { return s.connect(ctx) }
	client, err := gomail.NewClient(
		s.relay.host,
		append(s.client[:len(s.client):len(s.client)], gomail.WithDialContextFunc(connect))...)
	if err != nil {
		return err
	}
	server, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		if err = sendCommands(client, server); err == nil {
			err = server.Quit()
		}
	}
	if over := contextErr(ctx); err != nil && over != nil {
		return over
	}
	return s.describeError(err)
}

// contextErr returns context.DeadlineExceeded as soon as the deadline of ctx has passed, even if ctx.Err() is still
// nil. A connection has its own timer for the deadline, which may fire a moment before the timer of ctx.
func contextErr(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// connect opens a connection to the mail server. It closes the connection when ctx ends, because the library supports
// deadlines but not cancellation.
func (s *Sender) connect(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx, "tcp", net.JoinHostPort(s.relay.host, strconv.Itoa(s.relay.port)))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // the error does not matter after ctx has ended
	if !s.relay.implicitTLS {
		return conn, nil
	}
	encrypted := tls.Client(conn, s.tls)
	return encrypted, encrypted.HandshakeContext(ctx)
}
