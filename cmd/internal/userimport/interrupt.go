package userimport

import "io"

// An interruptible reads from a source that may block forever, such as a pipe. When stopCh is closed, Read stops
// waiting and returns ErrStopped. Only one goroutine may call Read. A separate goroutine reads from the source into
// buffer and not into the slice of the caller. A read that ends after the stop therefore does not change that slice.
type interruptible struct {
	in          io.Reader
	stopCh      <-chan struct{}
	truncated   bool // stopCh was closed before the source ended
	buffer      [64 << 10]byte
	unreadBytes []byte          // part of buffer
	err         error           // returned when unreadBytes is empty
	pending     chan readResult // result of a read of the source that has not returned yet
}

type readResult struct {
	n   int
	err error
}

// Read returns unreadBytes before it returns ErrStopped, so that their accounts are imported.
func (r *interruptible) Read(p []byte) (int, error) {
	if len(r.unreadBytes) == 0 && r.err == nil {
		r.awaitBytes()
	}
	n := copy(p, r.unreadBytes)
	r.unreadBytes = r.unreadBytes[n:]
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// awaitBytes also ends when stopCh is closed. The goroutine that reads the source then stays blocked until the program
// ends.
func (r *interruptible) awaitBytes() {
	if r.pending == nil {
		r.pending = make(chan readResult, 1)
		go func() {
			n, err := r.in.Read(r.buffer[:])
			r.pending <- readResult{n, err}
		}()
	}
	select {
	case <-r.stopCh:
		r.truncated, r.err = true, ErrStopped
	case got := <-r.pending:
		r.pending, r.unreadBytes, r.err = nil, r.buffer[:got.n], got.err
	}
}
