package providers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/federation/providers"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// These tests run two processes on one store, as behind a load balancer. The test program starts itself as the second
// process.

// processVariable is the environment variable that makes the test program run as the second process. Its value is a
// process as JSON.
const processVariable = "WATCHWORD_TEST_SECOND_PROCESS"

type process struct{ SQLite, Postgres, PublicURL, Issuer string }

// TestMain runs the tests or, if processVariable is set, the second process.
func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	if text := os.Getenv(processVariable); text != "" {
		if err := serveSecondProcess(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	theChromium.Stop()
	os.Exit(code)
}

// serveSecondProcess prints its address, and serves until its standard input ends.
func serveSecondProcess(text string) error {
	var p process
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	var store realStore
	var err error
	if p.SQLite != "" {
		store, err = sqlite.Open(context.Background(), p.SQLite)
	} else {
		store, err = postgres.Open(context.Background(), p.Postgres)
	}
	if err != nil {
		return err
	}
	engine, err := watchword.New(context.Background(), store, engineOptions(p.PublicURL))
	if err != nil {
		return err
	}
	acme, err := providers.New(acmeOptions(p.PublicURL, p.Issuer))
	if err != nil {
		return err
	}
	manager, err := federation.New(engine, store.Federation(),
		federation.Options{Providers: []federation.Provider{acme}})
	if err != nil {
		return err
	}
	handler, err := server.New(engine, server.Options{Federation: manager})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, handler) }() //nolint:gosec // no timeouts: the process ends with its test
	fmt.Println(listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// startSecondProcess returns a transport that sends every request to the second process of the site.
func (s *site) startSecondProcess(t *testing.T) *http.Transport {
	t.Helper()
	text, err := json.Marshal(process{s.sqlite, s.postgres, s.url, s.acme.URL})
	must(t, err)
	program, err := os.Executable()
	must(t, err)
	cmd := exec.Command(program, "-test.run=^$")
	cmd.Env, cmd.Stderr = append(os.Environ(), processVariable+"="+string(text)), t.Output()
	_, err = cmd.StdinPipe() // the second process ends when this process ends
	must(t, err)
	address := startAndReadLine(t, cmd)
	dialer := &net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		if strings.HasSuffix(s.url, to) {
			to = address
		}
		return dialer.DialContext(ctx, network, to)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// SW-20
func TestFiftyFirstSignInsInTwoProcessesCreateOneAccount(t *testing.T) {
	onBothStores(t, withScriptedProvider(), func(t *testing.T, s *site) {
		transports := []http.RoundTripper{&http.Transport{}, s.startSecondProcess(t)}
		type arrival struct {
			b  *browser
			at string
		}
		var all []arrival
		for i := range 50 {
			b := newBrowser(t)
			b.Transport = transports[i%2]
			all = append(all, arrival{b, b.signInAtProvider(s, "acme", "")})
		}
		// Each attempt begins in one process, and its callback runs in the other.
		var running sync.WaitGroup
		for i, one := range all {
			one.b.Transport = transports[(i+1)%2]
			running.Go(func() { one.b.get(one.at).assertRedirect(t, "/account") })
		}
		running.Wait()
		ids := map[any]bool{}
		for _, one := range all[:6] {
			u, _ := one.b.readAccount(s)
			ids[u["id"]] = true
		}
		if len(ids) != 1 || len(s.readIdentities(t, "ada@example.com")) != 1 {
			t.Errorf("%d accounts, identities %+v", len(ids), s.readIdentities(t, "ada@example.com"))
		}
	})
}
