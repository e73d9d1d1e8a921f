package main_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A databaseProxy is a TCP proxy that can cut connections and lose responses.
type databaseProxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	open   []net.Conn
	loss   atomic.Pointer[droppedResponse]
}

// A droppedResponse is one response to drop. First the proxy waits until a client has sent precedingBytes. Then it
// drops the response to the next message that contains requestBytes. If both fields are equal, the first such message
// is enough. The database still executes the message.
type droppedResponse struct {
	precedingBytes, requestBytes []byte
	droppedCh                    chan struct{}
}

func newDatabaseProxy(t *testing.T, target string) *databaseProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &databaseProxy{Listener: listener, target: target}
	t.Cleanup(func() { listener.Close(); w.cutConnections() }) //nolint:errcheck // the test has ended
	go w.serve()
	return w
}

func (w *databaseProxy) serve() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			near.Close() //nolint:errcheck // the client sees a cut connection
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, near, far)
		w.mu.Unlock()
		c := &proxiedConnection{databaseProxy: w, near: near, far: far}
		go c.forwardRequests()
		go c.forwardResponses()
	}
}

// cutConnections closes all connections, even in the middle of a message.
func (w *databaseProxy) cutConnections() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		conn.Close() //nolint:errcheck // the connection may be closed already
	}
	w.open = nil
}

// The returned channel is closed when the response is dropped. The proxy then closes the connection.
func (w *databaseProxy) dropResponse(preceding, request string) <-chan struct{} {
	l := &droppedResponse{[]byte(preceding), []byte(request), make(chan struct{})}
	w.loss.Store(l)
	return l.droppedCh
}

type proxiedConnection struct {
	*databaseProxy
	near, far   net.Conn
	pendingDrop atomic.Pointer[droppedResponse] // or nil
}

func (c *proxiedConnection) forwardRequests() {
	defer c.far.Close() //nolint:errcheck // ends forwardResponses
	buffer := make([]byte, 64<<10)
	var seen []byte // sent since the last call of dropResponse; a text may arrive in pieces
	var current *droppedResponse
	for {
		n, err := c.near.Read(buffer)
		if l := c.loss.Load(); l != current {
			current, seen = l, nil
		}
		if current != nil {
			seen = append(seen, buffer[:n]...)
			_, rest, marked := bytes.Cut(seen, current.precedingBytes)
			atOnce := bytes.Equal(current.precedingBytes, current.requestBytes)
			if marked && (atOnce || bytes.Contains(rest, current.requestBytes)) && c.loss.CompareAndSwap(current, nil) {
				c.pendingDrop.Store(current) // set before the message is forwarded, so before the response arrives
			}
		}
		if _, failed := c.far.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// forwardResponses forwards responses. It drops a response only when its first bytes arrive, because the database has
// then executed the message.
func (c *proxiedConnection) forwardResponses() {
	defer c.near.Close() //nolint:errcheck // ends forwardRequests
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.far.Read(buffer)
		if l := c.pendingDrop.Load(); l != nil && n > 0 {
			close(l.droppedCh)
			c.far.Close() //nolint:errcheck // ends forwardRequests
			return
		}
		if _, failed := c.near.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}
