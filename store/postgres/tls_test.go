package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/postgres"
)

// Open must follow the TLS settings of the URL. The user in this test can connect only with TLS.
func TestTLSSettingsAreApplied(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	server := pgtest.New(t)
	ours, others := newCertificateAuthority(t), newCertificateAuthority(t)
	certificate, key := ours.issueCertificate(t)
	for name, text := range map[string]string{
		"tls.crt": certificate, "tls.key": key,
		"pg_hba.conf": "hostssl all guarded all scram-sha-256\nhost all watchword all trust\n",
	} {
		if err := server.Write(name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Configure("ssl = on", "ssl_cert_file = 'tls.crt'", "ssl_key_file = 'tls.key'"); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	database := server.Database(t)
	execStatement(t, database, "CREATE ROLE guarded LOGIN PASSWORD '"+secret+"'; GRANT ALL ON SCHEMA public TO guarded")
	base, _, _ := strings.Cut(strings.Replace(database, "watchword@", "guarded:"+secret+"@", 1), "?")

	for _, c := range []struct {
		name, settings string
		wantError      string // "" if connecting succeeds
	}{
		{"the right authority", "sslmode=verify-full&sslrootcert=" + ours.certFile, ""},
		{"another authority",
			"sslmode=verify-full&sslrootcert=" + others.certFile, "certificate signed by unknown authority"},
		{"any certificate", "sslmode=require", ""},
		{"no TLS", "sslmode=disable", "no pg_hba.conf entry"},
	} {
		store, err := postgres.Open(t.Context(), base+"?"+c.settings)
		if store != nil {
			_ = store.Close()
		}
		switch {
		case c.wantError == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.wantError != "" && (err == nil || !strings.Contains(err.Error(), c.wantError)):
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.wantError)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s: the error holds the password", c.name)
		}
	}
	wrongName := strings.Replace(base, "127.0.0.1", "localhost", 1)
	_, err := postgres.Open(t.Context(), wrongName+"?sslmode=verify-full&sslrootcert="+ours.certFile)
	if err == nil || !strings.Contains(err.Error(), "wanted to match localhost") {
		t.Errorf("a certificate of another name: got %v", err)
	}
}

// A certificateAuthority signs certificates for 127.0.0.1.
type certificateAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	certFile    string
}

func newCertificateAuthority(t *testing.T) *certificateAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &certificateAuthority{key: key, certFile: filepath.Join(t.TempDir(), "ca.crt")}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.certFile, pemOf("CERTIFICATE", der), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *certificateAuthority) issueCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pemOf("CERTIFICATE", der)), string(pemOf("PRIVATE KEY", pkcs8))
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
