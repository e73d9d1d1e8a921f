package main_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// The connections to the database are cut again and again, in the middle of
// whatever they are at: before a statement, within a commit, after it and before
// the answer. What was acknowledged holds, and nobody is signed out.
func TestCutConnectionsLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.New(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	wire := newWire(t, database.Host)
	database.Host = wire.Addr().String()
	s := newServer(t, freeAddress(t))
	startServer(t, s, append(onPostgres(database.String()), "--limits=off", "--log-level=error")...)

	crowd := newCrowd(newFault(t, "connections to PostgreSQL cut"), s.address)
	for range soakRounds(40) {
		crowd.round(t, wire.cut)
	}
	crowd.check(t.Context())
}

// A wire passes bytes on, until it is cut.
type wire struct {
	net.Listener
	target string
	mu     sync.Mutex
	open   []net.Conn
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: listener, target: target}
	t.Cleanup(func() { listener.Close(); w.cut() }) //nolint:errcheck // it is a test
	go w.serve()
	return w
}

func (w *wire) serve() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			near.Close() //nolint:errcheck // as if cut
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, near, far)
		w.mu.Unlock()
		for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				io.Copy(ends[0], ends[1]) //nolint:errcheck // cut is cut
				ends[0].Close()           //nolint:errcheck // the other half follows
			}()
		}
	}
}

// cut closes all that is open, whatever is on its way.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		conn.Close() //nolint:errcheck // cut is cut
	}
	w.open = nil
}
