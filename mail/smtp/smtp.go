// Package smtp sends mails through one mail server (RFC 5321, RFC 6409). It
// knows TLS, sign-in and what the server's answers mean; the words are package
// mail's, and when to try again is the engine's.
package smtp

import (
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

// timeout bounds a conversation whose context has no shorter one.
const timeout = 30 * time.Second

// Options are what a Sender is made of.
type Options struct {
	// URL is smtp://user:password@host:587 or smtps://user:password@host:465;
	// required. Without user and password there is no sign-in. For smtp, TLS by
	// STARTTLS is a must, unless the host is loopback: there it is used if the
	// server has it and a password is to be sent.
	URL watchword.Secret

	From     string         // sender, as in "Example <no-reply@example.com>"; required
	Renderer *mail.Renderer // writes the words; required
	RootCAs  *x509.CertPool // who may vouch for the server; default: those of the system
}

// A Sender sends mails. Make one with New; it is safe for concurrent use. Each
// mail is a conversation of its own.
type Sender struct {
	relay    relay
	client   []gomail.Option
	tls      *tls.Config
	from     string // as the header shows it
	domain   string // of from
	renderer *mail.Renderer
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

var _ watchword.Mailer = (*Sender)(nil)

// New makes a Sender and connects to nothing. Its errors say which part of the
// options is wrong, and never show the password.
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
		relay:    relay,
		tls:      &tls.Config{ServerName: relay.host, MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		from:     from.String(),
		domain:   domain,
		renderer: o.Renderer,
		dial:     (&net.Dialer{}).DialContext,
	}
	s.client = []gomail.Option{
		gomail.WithPort(relay.port),
		gomail.WithTimeout(timeout),
		gomail.WithHELO(domain),
		gomail.WithTLSConfig(s.tls),
		gomail.WithTLSPolicy(relay.policy()),
		gomail.WithoutNoop(),
		gomail.WithoutSMTPUTF8(), // our addresses are ASCII
	}
	if relay.user != "" {
		s.client = append(s.client, gomail.WithUsername(relay.user), gomail.WithPassword(relay.password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return s, nil
}

// policy says what to do about STARTTLS. On loopback there is nobody to hide
// from, and the certificate of a local relay is rarely one that verifies.
func (r relay) policy() gomail.TLSPolicy {
	switch {
	case r.tls: // it is on already
		return gomail.NoTLS
	case !weborigin.IsLoopback(r.host):
		return gomail.TLSMandatory
	case r.user != "":
		return gomail.TLSOpportunistic
	}
	return gomail.NoTLS
}

// Send sends a mail. It returns nil as soon as the server has taken the mail,
// however the conversation ends afterwards.
func (s *Sender) Send(ctx context.Context, m watchword.Message) error {
	message, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	err = s.converse(ctx, func(client *gomail.Client, server *smtp.Client) error {
		return client.SendWithSMTPClient(server, message)
	})
	if err != nil && !message.IsDelivered() {
		return fmt.Errorf("send mail through %s: %w", s.relay.name(), err)
	}
	return nil
}

// Check goes as far as a mail would, without sending one: connection, TLS,
// sign-in.
func (s *Sender) Check(ctx context.Context) error {
	err := s.converse(ctx, func(_ *gomail.Client, server *smtp.Client) error { return server.Noop() })
	if err != nil {
		return fmt.Errorf("check mail server %s: %w", s.relay.name(), err)
	}
	return nil
}

// compose makes the mail as it goes over the wire.
func (s *Sender) compose(m watchword.Message) (*gomail.Msg, error) {
	if to, err := address.Parse(string(m.To)); err != nil || to != string(m.To) {
		return nil, errors.New("the receiver's address is not canonical")
	}
	words, err := s.renderer.Render(m)
	if err != nil {
		return nil, err
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(message.From(s.from), message.To(string(m.To))); err != nil {
		return nil, err
	}
	message.Subject(words.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(m.ID + "@" + s.domain)     // a second copy is recognised as one
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5: no answer from robots
	message.SetBodyString(gomail.TypeTextPlain, words.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, words.HTML)
	return message, nil
}

// converse connects, greets and signs in, talks, and says goodbye. The
// connection lives no longer than ctx.
func (s *Sender) converse(ctx context.Context, talk func(*gomail.Client, *smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connect := func(context.Context, string, string) (net.Conn, error) { return s.connect(ctx) }
	client, err := gomail.NewClient(s.relay.host, append(s.client[:len(s.client):len(s.client)], gomail.WithDialContextFunc(connect))...)
	if err != nil {
		return err
	}
	server, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		if err = talk(client, server); err == nil {
			err = server.Quit()
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return s.explain(err)
}

// connect opens a connection that is cut when ctx ends: the library knows
// deadlines only.
func (s *Sender) connect(ctx context.Context) (net.Conn, error) {
	conn, err := s.dial(ctx, "tcp", net.JoinHostPort(s.relay.host, strconv.Itoa(s.relay.port)))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // nobody reads from it any more
	if !s.relay.tls {
		return conn, nil
	}
	encrypted := tls.Client(conn, s.tls)
	return encrypted, encrypted.HandshakeContext(ctx)
}
