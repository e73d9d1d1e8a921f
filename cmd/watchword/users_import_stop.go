package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// How long work ends between two steps, at the first signal, and at once, at the
// second.

var errStopped = errors.New("stopped")

// untilSignal is ctx until somebody wants the program to end. Whoever started it
// with nohup does not want that of a terminal that is closed.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop) // a second one ends it at once
	return ctx, stop
}

// A stoppable reads what may keep it waiting for ever, and waits no longer than
// until done. From then on all that it says is errStopped.
type stoppable struct {
	in     io.Reader
	done   <-chan struct{}
	cut    bool // done came before the end
	buffer [64 << 10]byte
	rest   []byte      // of the buffer
	err    error       // behind the rest
	answer chan answer // of a Read that is under way
}

type answer struct {
	n   int
	err error
}

func (s *stoppable) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.err == nil {
		s.fill()
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	if n > 0 {
		return n, nil
	}
	return 0, s.err
}

// fill waits for more. A Read that nobody waits for any more ends with the program.
func (s *stoppable) fill() {
	if s.answer == nil {
		s.answer = make(chan answer, 1)
		go func() {
			n, err := s.in.Read(s.buffer[:])
			s.answer <- answer{n, err}
		}()
	}
	select {
	case <-s.done:
		s.cut, s.err = true, errStopped
	case got := <-s.answer:
		s.answer, s.rest, s.err = nil, s.buffer[:got.n], got.err
	}
}
