package watchword

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/watchword-auth/watchword/internal/sleep"
	"github.com/watchword-auth/watchword/internal/wake"
)

// Callbacks (Options.OnSignup, Options.OnSessionEnded) are rows of a queue in the store. The statement that inserts
// an account also queues its OnSignup call. OnSessionEnded calls are queued from the rows of ended sessions, in the
// order of the feed. Therefore it does not matter which flow or program ended a session.
//
// Each process with a callback claims due rows, makes the calls, and then deletes the rows. If it crashes before it
// deletes a row, another process repeats the call. A failed call delays only its own row.

const (
	callbackPoll    = time.Second      // how soon a process finds a row that another process inserted
	callbackBatch   = 16               // concurrent calls of one kind in one process
	callbackTimeout = 30 * time.Second // timeout of the context of a call
	callbackLease   = time.Minute      // how long a claimed row is reserved for the process that claimed it
	callbackSettle  = 5 * time.Second  // timeout for storing the result of a call
	callbackMaxWait = time.Hour        // longest wait after a failure
)

// A CallbackKind names one of the callbacks in Options.
//
// Unstable: only stores use it.
type CallbackKind string

const (
	CallbackSignup       CallbackKind = "signup"        // OnSignup
	CallbackSessionEnded CallbackKind = "session_ended" // OnSessionEnded
)

// A Callback is a call that is due.
//
// Unstable: only stores use it.
type Callback struct {
	Kind     CallbackKind
	ID       string // of the user or the session
	Attempts int
}

func (o Options) callbackSignals() map[CallbackKind]wake.Signal {
	set := map[CallbackKind]wake.Signal{}
	if o.OnSignup != nil {
		set[CallbackSignup] = wake.New()
	}
	if o.OnSessionEnded != nil {
		set[CallbackSessionEnded] = wake.New()
	}
	return set
}

func (e *Engine) runCallbacks(ctx context.Context, kind CallbackKind, due wake.Signal) {
	due.Loop(ctx, callbackPoll, func(ctx context.Context) (bool, error) {
		return e.makeDueCallbacks(ctx, kind)
	}, func(err error) {
		e.log.Error("can't read the callbacks that are due", slog.String("callback", string(kind)), slog.Any("error", err))
	})
}

// makeDueCallbacks claims one batch and waits for its concurrent calls. It reports whether more calls may be due.
func (e *Engine) makeDueCallbacks(ctx context.Context, kind CallbackKind) (bool, error) {
	now := e.now()
	var due []Callback
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if kind == CallbackSessionEnded {
			if err = tx.QueueEnded(ctx, now, feedBatch); err != nil {
				return err
			}
		}
		due, err = tx.ClaimCallbacks(ctx, kind, now, now.Add(callbackLease), callbackBatch)
		return err
	})
	if err != nil {
		return false, err
	}
	var calls sync.WaitGroup
	for _, c := range due {
		calls.Go(func() { e.settleCallback(ctx, c, e.makeCallback(ctx, c)) })
	}
	calls.Wait()
	return len(due) == callbackBatch, nil
}

// settleCallback deletes a callback after a successful call, and otherwise postpones it. It stores the result even
// during a shutdown, so that no other process repeats a successful call. If the shutdown canceled the call, the next
// call is due at once. After any other failure, the next call waits.
func (e *Engine) settleCallback(ctx context.Context, c Callback, failed error) {
	settle, stop := context.WithTimeout(context.WithoutCancel(ctx), callbackSettle)
	defer stop()
	about := []any{slog.String("callback", string(c.Kind)), slog.String("id", c.ID), slog.Int("attempt", c.Attempts)}
	next := e.now()
	cutOff := ctx.Err() != nil && errors.Is(failed, context.Canceled)
	if failed != nil && !cutOff {
		wait := sleep.Doubled(time.Second, c.Attempts, callbackMaxWait)
		next = next.Add(wait)
		e.log.Error("callback failed", append(about, slog.String("retry_after", wait.String()), slog.Any("error", failed))...)
	}
	err := e.store.Update(settle, func(tx Tx) error {
		if failed == nil {
			return tx.DeleteCallback(settle, c)
		}
		return tx.PostponeCallback(settle, c, next)
	})
	if err != nil {
		e.log.Error("can't record a callback: it will be called again", append(about, slog.Any("error", err))...)
	}
}

// makeCallback reads the user or session of a callback, and makes the call. If the user or session was deleted, it
// drops the callback. It returns a panic as an error, because a panic would end the process.
func (e *Engine) makeCallback(ctx context.Context, c Callback) (err error) {
	ctx, stop := context.WithTimeout(ctx, callbackTimeout)
	defer stop()
	late := time.AfterFunc(callbackLease, func() {
		e.log.Error("callback does not return: it delays the calls after it",
			slog.String("callback", string(c.Kind)), slog.String("id", c.ID))
	})
	defer late.Stop()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	var user User
	var session Session
	err = e.store.View(ctx, func(tx Tx) (err error) {
		if c.Kind == CallbackSignup {
			user, err = tx.User(ctx, UserID(c.ID))
		} else {
			session, err = tx.SessionAlone(ctx, SessionID(c.ID))
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case c.Kind == CallbackSignup:
		return e.opts.OnSignup(ctx, user)
	}
	return e.opts.OnSessionEnded(ctx, session.withComputedEnd(e.opts.Sessions))
}

// withComputedEnd sets the end of an idle or expired session to its computed time and reason, because the store does
// not record such an end.
func (s Session) withComputedEnd(p SessionPolicy) Session {
	if s.EndedAt.IsZero() {
		at := s.expiryWithoutRefresh(p)
		s.EndedAt, s.EndedWhy = at, s.EndedBy(p.Cutoffs(at))
	}
	return s
}
