package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
)

var transactionTests = map[string]func(suite){
	"FailedUpdateChangesNothing": func(s suite) {
		u, failed := s.addUser(1), errors.New("the flow failed")
		err := s.Update(s.Context(), func(tx watchword.Tx) error {
			if err := tx.SetName(s.Context(), u.ID, "changed"); err != nil {
				return err
			}
			if inside, err := tx.User(s.Context(), u.ID); err != nil || inside.Name != "changed" {
				s.Errorf("a transaction does not see its own change: %q, %v", inside.Name, err)
			}
			return failed
		})
		if !errors.Is(err, failed) {
			s.Errorf("got error %v, want the one of the function", err)
		}
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	"ViewCannotWrite": func(s suite) {
		u := s.addUser(1)
		err := s.View(s.Context(), func(tx watchword.Tx) error { return tx.SetName(s.Context(), u.ID, "changed") })
		if err == nil {
			s.Error("a view may write")
		}
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	"ViewSeesOneSnapshot": func(s suite) {
		u := s.addUser(1)
		s.mustView(func(ctx context.Context, tx watchword.Tx) error {
			before, err := tx.User(ctx, u.ID)
			if err != nil {
				return err
			}
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.SetName(ctx, u.ID, "changed") })
			meanwhile, err := tx.User(ctx, u.ID)
			wantEqual(s, "user after a change by others", meanwhile, before)
			return err
		})
		if name := s.readUser(u.ID).Name; name != "changed" {
			s.Errorf("the next view sees the name %q", name)
		}
	},

	"ConcurrentUpdatesAllCommit": func(s suite) {
		const writers, each = 16, 25
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
						return tx.InsertEvent(ctx, newEvent(User(1).ID, w*each+i))
					})
				}
			})
		}
		all.Wait()
		if got := len(s.readEvents(User(1).ID, writers*each+1)); got != writers*each {
			s.Errorf("%d events are there of %d", got, writers*each)
		}
	},

	"UpdateWithCanceledContextChangesNothing": func(s suite) {
		u := s.addUser(1)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		err := s.Update(ctx, func(tx watchword.Tx) error { return tx.SetName(ctx, u.ID, "changed") })
		if !errors.Is(err, context.Canceled) || errors.Is(err, watchword.ErrUnavailable) {
			s.Errorf("update: got error %v, want context.Canceled alone", err)
		}
		if err := s.View(ctx, func(watchword.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			s.Errorf("view: got error %v, want context.Canceled", err)
		}
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	"ExpiredDeadlineReturnsErrUnavailable": func(s suite) {
		u := s.addUser(1)
		ctx, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
		defer cancel()
		err := s.Update(ctx, func(tx watchword.Tx) error { return tx.SetName(ctx, u.ID, "changed") })
		s.wantUnavailable("update", err)
		s.wantUnavailable("view", s.View(ctx, func(watchword.Tx) error { return nil }))
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	"CancellationDuringUpdateRollsBack": func(s suite) {
		u := s.addUser(1)
		ctx, cancel := context.WithCancel(s.Context())
		err := s.Update(ctx, func(tx watchword.Tx) error {
			if err := tx.SetName(ctx, u.ID, "changed"); err != nil {
				return err
			}
			cancel()
			_, err := tx.User(ctx, u.ID)
			return err
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, watchword.ErrUnavailable) {
			s.Errorf("got error %v, want context.Canceled alone", err)
		}
		wantEqual(s, "user", s.readUser(u.ID), u)
	},

	// RT-9
	"ClosedStoreReturnsErrUnavailable": func(s suite) {
		one := s.addSession(Session(s.addUser(1).ID, 1))
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			s.Errorf("close, twice: %v", err)
		}
		nothing := func(watchword.Tx) error { return nil }
		s.wantUnavailable("update", s.Update(s.Context(), nothing))
		s.wantUnavailable("view", s.View(s.Context(), nothing))
		_, err := s.Rotate(s.Context(), Rotate(one, Start))
		s.wantUnavailable("rotate", err)
	},

	"CloseWaitsForRunningUpdate": func(s suite) {
		u := s.addUser(1)
		inside, closed, updated := make(chan struct{}), make(chan error, 1), make(chan error, 1)
		go func() {
			updated <- s.Update(s.Context(), func(tx watchword.Tx) error {
				close(inside)
				select {
				case err := <-closed:
					return errors.Join(err, errors.New("the store closed under a running update"))
				case <-time.After(20 * time.Millisecond):
				}
				return tx.SetName(s.Context(), u.ID, "changed")
			})
		}()
		<-inside
		go func() { closed <- s.Close() }()
		if err := errors.Join(<-updated, <-closed); err != nil {
			s.Error(err)
		}
	},
}

func (s suite) wantUnavailable(what string, err error) {
	s.Helper()
	if !errors.Is(err, watchword.ErrUnavailable) {
		s.Errorf("%s: got error %v, want ErrUnavailable", what, err)
	}
}
