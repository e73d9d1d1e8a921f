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

// A fakeServer listens on loopback and records commands and mails.
type fakeServer struct {
	address   string // host:port
	port      string
	behaviour behaviour

	mu             sync.Mutex
	received       []string
	mails          []string
	lastTLSVersion uint16
	stalls         chan struct{}
}

// With the zero value of behaviour, the server accepts every mail and has no TLS.
type behaviour struct {
	certificate    *tls.Certificate
	implicitTLS    bool
	maxTLS         uint16 // 0 means any
	authWithoutTLS bool

	auth, mail, rcpt, data error

	hangUpAfterMail  bool
	acceptAfterClose chan struct{}
}

func start(t *testing.T, a behaviour) *fakeServer {
	t.Helper()
	s := &fakeServer{behaviour: a, stalls: make(chan struct{}, 1)}
	backend := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &connection{fakeServer: s, conn: c}, nil
	}))
	backend.Domain = "mail.example.com"
	backend.AllowInsecureAuth = a.authWithoutTLS
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

func (s *fakeServer) record(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, command)
}

func (s *fakeServer) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

func (s *fakeServer) acceptedMails() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *fakeServer) tlsVersion() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastTLSVersion
}

type connection struct {
	*fakeServer
	conn *smtp.Conn
	done bool
}

func (s *connection) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *connection) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		s.record("AUTH")
		if s.behaviour.auth != nil {
			return s.behaviour.auth
		}
		if name != user || secret != password {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *connection) Mail(from string, _ *smtp.MailOptions) error {
	s.record("MAIL " + from)
	return s.behaviour.mail
}

func (s *connection) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.record("RCPT " + to)
	return s.behaviour.rcpt
}

func (s *connection) Data(r io.Reader) error {
	s.record("DATA")
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.behaviour.acceptAfterClose != nil {
		s.stalls <- struct{}{}
		<-s.behaviour.acceptAfterClose
	}
	if s.behaviour.data != nil {
		return s.behaviour.data
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(content))
	if state, encrypted := s.conn.TLSConnectionState(); encrypted {
		s.lastTLSVersion = state.Version
	}
	s.done = true
	return nil
}

func (s *connection) Reset() {
	if s.done && s.behaviour.hangUpAfterMail {
		s.conn.Conn().Close() //nolint:errcheck // closed without a reply on purpose
	}
}

func (s *connection) Logout() error { return nil }

func createCertificate(t *testing.T, names ...string) (*tls.Certificate, *x509.CertPool) {
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
