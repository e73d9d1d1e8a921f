package main_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

	actors := make([]*actor, 4)
	var acts atomic.Int64
	var acting sync.WaitGroup
	done := make(chan struct{})
	for i := range actors {
		actors[i] = &actor{t: t, device: newDevice(t, s.address), name: i}
		acting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = actors[i].act(t.Context()) // what came unanswered is in doubt, and known to be
					acts.Add(1)
				}
			}
		})
	}
	const cuts = 40
	for cut := range cuts {
		for acts.Load() < int64(cut*len(actors)) { // each has acted since the last, or nearly
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		wire.cut()
	}
	close(done)
	acting.Wait()
	untilReady(t, s)
	for _, a := range actors {
		a.check(t.Context())
		t.Logf("actor %d: %d answers, %d without one or 503", a.name, a.answered, a.unanswered)
		if a.answered == 0 {
			t.Errorf("actor %d did nothing", a.name)
		}
	}
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
