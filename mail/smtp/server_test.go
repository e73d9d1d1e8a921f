package smtp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	user     = "otter"
	password = `p@ss"/\wörd:9`
)

// A server is a fake mail server on loopback that records commands and mails.
type server struct {
	address string // host:port
	port    string
	answers answers

	mu     sync.Mutex
	heard  []string // SMTP commands that the server received
	mails  []string
	tls    uint16 // TLS version of the last encrypted connection
	stalls chan struct{}
}

// answers configures a fake server. With the zero value, the server accepts every mail and has no TLS.
type answers struct {
	certificate *tls.Certificate
	implicitTLS bool   // TLS from the first byte
	maxTLS      uint16 // highest TLS version; 0 means any
	plainAuth   bool   // offer AUTH without TLS

	auth, mail, rcpt, data error

	hangUp bool          // close the connection after accepting a mail
	stall  chan struct{} // accept a mail only after this channel is closed
}

func start(t *testing.T, a answers) *server {
	t.Helper()
	s := &server{answers: a, stalls: make(chan struct{}, 1)}
	backend := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	backend.Domain = "mail.example.com"
	backend.AllowInsecureAuth = a.plainAuth
	backend.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	_, s.port, _ = net.SplitHostPort(s.address)
	if a.certificate != nil {
		config := &tls.Config{
			Certificates: []tls.Certificate{*a.certificate}, MinVersion: tls.VersionTLS10, MaxVersion: a.maxTLS}
		if a.implicitTLS {
			listener = tls.NewListener(listener, config)
		} else {
			backend.TLSConfig = config
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() { backend.Serve(listener) }) //nolint:errcheck // its error only says that Close was called
	t.Cleanup(func() {
		backend.Close() //nolint:errcheck // the result does not matter
		serving.Wait()
	})
	return s
}

func (s *server) hear(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, command)
}

// commands returns the SMTP commands that the server has received so far.
func (s *server) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// taken returns the mails that the server has accepted so far, unchanged.
func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *server) tlsVersion() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tls
}

// A session is one SMTP connection.
type session struct {
	*server
	conn *smtp.Conn
	done bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		s.hear("AUTH")
		if s.answers.auth != nil {
			return s.answers.auth
		}
		if name != user || secret != password {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.hear("MAIL " + from)
	return s.answers.mail
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.hear("RCPT " + to)
	return s.answers.rcpt
}

func (s *session) Data(r io.Reader) error {
	s.hear("DATA")
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.answers.stall != nil {
		s.stalls <- struct{}{}
		<-s.answers.stall
	}
	if s.answers.data != nil {
		return s.answers.data
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(content))
	if state, encrypted := s.conn.TLSConnectionState(); encrypted {
		s.tls = state.Version
	}
	s.done = true
	return nil
}

func (s *session) Reset() {
	if s.done && s.answers.hangUp {
		s.conn.Conn().Close() //nolint:errcheck // closed without a reply on purpose
	}
}

func (s *session) Logout() error { return nil }

// certify creates a certificate for the names, and a pool that trusts the certificate.
func certify(t *testing.T, names ...string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
