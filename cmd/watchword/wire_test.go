package main_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A wire passes bytes on to a database, until it is cut or told to lose an answer.
type wire struct {
	net.Listener
	target string
	mu     sync.Mutex
	open   []net.Conn
	loss   atomic.Pointer[loss]
}

// A loss is an answer that never arrives: that to the next message with the text
// `to`, from a client that has sent `after` by then. The settings take effect.
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
		c := &carried{wire: w, near: near, far: far}
		go c.questions()
		go c.answers()
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

// lose returns what is closed when the answer was lost, and its connection cut.
func (w *wire) lose(after, to string) <-chan struct{} {
	l := &loss{after: []byte(after), to: []byte(to), done: make(chan struct{})}
	w.loss.Store(l)
	return l.done
}

// carried is one connection over a wire.
type carried struct {
	*wire
	near, far net.Conn
	lost      atomic.Pointer[loss] // the next answer is
}

func (c *carried) questions() {
	defer c.far.Close() //nolint:errcheck // the other half follows
	buffer := make([]byte, 64<<10)
	var seen []byte // what was asked since the last loss was set up, for a text may come in pieces
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
				c.lost.Store(current) // before the question is passed on, and so before its answer
			}
		}
		if _, failed := c.far.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// answers that begin to arrive are those of a commit that is done.
func (c *carried) answers() {
	defer c.near.Close() //nolint:errcheck // the other half follows
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.far.Read(buffer)
		if l := c.lost.Load(); l != nil && n > 0 {
			close(l.done)
			c.far.Close() //nolint:errcheck // the other half follows
			return
		}
		if _, failed := c.near.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
