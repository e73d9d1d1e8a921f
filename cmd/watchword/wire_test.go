package main_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A wire is a TCP proxy to a database that can cut connections and lose responses.
type wire struct {
	net.Listener
	target string
	mu     sync.Mutex
	open   []net.Conn
	loss   atomic.Pointer[loss]
}

// A loss drops the response to the next message that contains `to`, from a client that has sent
// `after` before. The database still executes the message.
type loss struct {
	after, to []byte
	done      chan struct{}
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
		c := &proxied{wire: w, near: near, far: far}
		go c.forwardRequests()
		go c.forwardResponses()
	}
}

// cut closes all connections, even in the middle of a message.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		conn.Close() //nolint:errcheck // cut is cut
	}
	w.open = nil
}

// lose arranges a loss. The channel is closed once the response is lost and its connection is
// cut.
func (w *wire) lose(after, to string) <-chan struct{} {
	l := &loss{after: []byte(after), to: []byte(to), done: make(chan struct{})}
	w.loss.Store(l)
	return l.done
}

// proxied is one connection through a wire.
type proxied struct {
	*wire
	near, far net.Conn
	lost      atomic.Pointer[loss] // set: the next response is lost
}

func (c *proxied) forwardRequests() {
	defer c.far.Close() //nolint:errcheck // the other direction ends, too
	buffer := make([]byte, 64<<10)
	var seen []byte // since the last loss was set up, because a text may arrive in pieces
	var current *loss
	for {
		n, err := c.near.Read(buffer)
		if l := c.loss.Load(); l != current {
			current, seen = l, nil
		}
		if current != nil {
			seen = append(seen, buffer[:n]...)
			_, rest, marked := bytes.Cut(seen, current.after)
			if marked && (bytes.Equal(current.after, current.to) || bytes.Contains(rest, current.to)) &&
				c.loss.CompareAndSwap(current, nil) {
				c.lost.Store(current) // before the message is forwarded, and so before its response
			}
		}
		if _, failed := c.far.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// forwardResponses forwards responses. When the response to be lost begins to arrive, the
// commit is done.
func (c *proxied) forwardResponses() {
	defer c.near.Close() //nolint:errcheck // the other direction ends, too
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.far.Read(buffer)
		if l := c.lost.Load(); l != nil && n > 0 {
			close(l.done)
			c.far.Close() //nolint:errcheck // the other direction ends, too
			return
		}
		if _, failed := c.near.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
