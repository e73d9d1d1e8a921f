package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
)

var feeds = map[string]func(suite){
	"EndedSessionsAreNumberedOnce": func(s suite) {
		u := s.addFed(1)
		alive, first, second := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2)),
			s.addSession(Session(u.ID, 3))
		same(s, "state of nothing", s.feedState(), watchword.FeedState{})
		s.wantHeld(true, "end", endSession(second, watchword.EndedReuse, after(2*time.Second)))
		s.wantHeld(true, "end", endSession(first, watchword.EndedLogout, after(time.Second)))
		same(s, "state before", s.feedState(), watchword.FeedState{Unnumbered: after(time.Second)})
		same(s, "items without a number", s.feed(0, time.Time{}, 9), nil)
		same(s, "numbered", s.number(9), 2)
		same(s, "numbered again", s.number(9), 0)
		want := []watchword.FeedItem{
			{Number: 1, Session: first.ID, At: after(time.Second), Why: watchword.EndedLogout},
			{Number: 2, Session: second.ID, At: after(2 * time.Second), Why: watchword.EndedReuse},
		}
		same(s, "items", s.feed(0, time.Time{}, 9), want)
		same(s, "after the first", s.feed(1, time.Time{}, 9), want[1:])
		same(s, "of what happened later", s.feed(0, after(time.Second), 9), want[1:])
		same(s, "one", s.feed(0, time.Time{}, 1), want[:1])
		same(s, "after all", s.feed(2, time.Time{}, 9), nil)
		same(s, "state after", s.feedState(), watchword.FeedState{Last: 2})
		s.wantHeld(true, "end", endSession(alive, watchword.EndedLogout, after(time.Second)))
		same(s, "numbered later", s.number(9), 1)
		same(s, "the later one", s.feed(2, time.Time{}, 9),
			[]watchword.FeedItem{{Number: 3, Session: alive.ID, At: after(time.Second), Why: watchword.EndedLogout}})
	},

	"FeedNumbersExceedTheLastAndTheGivenNumber": func(s suite) {
		u := s.addFed(1)
		for n, c := range []struct{ above, want int64 }{{1 << 50, 1<<50 + 1}, {5, 1<<50 + 2}, {1<<50 + 2, 1<<50 + 3}} {
			ended := s.addSession(Session(u.ID, n))
			s.wantHeld(true, "end", endSession(ended, watchword.EndedLogout, Start))
			same(s, "numbered", s.numberAbove(c.above, 9), 1)
			same(
				s,
				"items",
				s.feed(c.want-1, time.Time{}, 9),
				[]watchword.FeedItem{{Number: c.want, Session: ended.ID, At: Start, Why: watchword.EndedLogout}},
			)
		}
	},

	// JWT-15
	"EachChangeOfRolesIsNumbered": func(s suite) {
		u, unchanged := s.addFed(1), s.addFed(2)
		for n := range int64(3) {
			at := after(time.Duration(n) * time.Second)
			s.update(func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetRoles(ctx, u.ID, []string{"staff"}, at)
			})
			same(s, "state", s.feedState(), watchword.FeedState{Last: n, Unnumbered: at})
			same(s, "numbered", s.number(9), 1)
			same(s, "items", s.feed(0, time.Time{}, 9), []watchword.FeedItem{{Number: n + 1, User: u.ID, At: at}})
		}
		same(s, "others", s.user(unchanged.ID), unchanged)
	},

	"RotationAndSweepDoNotChangeTheFeed": func(s suite) {
		u := s.addFed(1)
		one, other := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2))
		s.wantHeld(true, "end", endSession(one, watchword.EndedLogout, Start))
		s.number(9)
		if got, err := s.Rotate(s.Context(), Rotate(other, Start)); err != nil || !got.Rotated {
			s.Fatalf("rotate: %+v, %v", got, err)
		}
		same(s, "state", s.feedState(), watchword.FeedState{Last: 1})
		s.wantSwept(watchword.SweepSessions, after(time.Second), 1)
		same(s, "items", s.feed(0, time.Time{}, 9), nil)
		same(s, "the number is not given again", s.feedState(), watchword.FeedState{Last: 1})
	},

	// RL-8
	"ManyEndedSessionsAreNumberedInBatches": func(s suite) {
		const many, batch = 2000, 500
		u := s.addFed(1)
		s.update(func(ctx context.Context, tx watchword.Tx) error {
			for n := range many {
				if err := tx.InsertSession(ctx, Session(u.ID, n)); err != nil {
					return err
				}
			}
			ended, err := tx.EndSessions(ctx, u.ID, "", watchword.EndedLogoutAll, Start)
			same(s, "ended", ended, many)
			return err
		})
		for range many / batch {
			same(s, "numbered", s.number(batch), batch)
		}
		same(s, "numbered in the end", s.number(batch), 0)
		seen := map[watchword.SessionID]bool{}
		last := int64(0)
		for {
			page := s.feed(last, time.Time{}, batch)
			if len(page) == 0 {
				break
			}
			for _, item := range page {
				if last++; item.Number != last {
					s.Fatalf("number %d follows %d", item.Number, last-1)
				}
				seen[item.Session] = true
			}
		}
		same(s, "sessions in the feed", len(seen), many)
	},

	// If several processes assign numbers at the same time, no number must be assigned twice. After a reader has seen
	// a number, no smaller number may appear.
	"FeedNumbersBecomeVisibleInOrder": func(s suite) {
		sessions, processes := 3*rounds()/5, 3
		users := []watchword.User{s.addFed(1), s.addFed(2)}
		for n := range sessions {
			s.addSession(Session(users[n%2].ID, n))
		}
		var ending, working sync.WaitGroup
		var ended atomic.Bool
		for half := range 2 {
			ending.Go(func() {
				for n := half; n < sessions; n += 2 {
					s.settled(endSession(Session(users[half].ID, n), watchword.EndedLogout,
						after(time.Duration(n)*time.Millisecond)))
					if n%20 == half {
						s.update(func(ctx context.Context, tx watchword.Tx) error {
							return tx.SetRoles(ctx, users[half].ID, nil, after(time.Duration(n)*time.Second))
						})
					}
				}
			})
		}
		readers := make([][]watchword.FeedItem, processes)
		for i := range readers {
			working.Go(func() {
				last := int64(0)
				for over := false; !over; {
					over = ended.Load() && s.number(7) == 0 // if so, the next read must see all numbers
					if !over {
						s.number(7)
					}
					for _, item := range s.feed(last, time.Time{}, 1000) {
						readers[i] = append(readers[i], item)
						last = item.Number
					}
				}
			})
		}
		ending.Wait()
		ended.Store(true)
		working.Wait()
		same(s, "nothing waits", s.feedState().Unnumbered, time.Time{})
		for _, seen := range readers {
			found := map[watchword.SessionID]bool{}
			for i, item := range seen {
				if i > 0 && item.Number <= seen[i-1].Number {
					s.Fatalf("number %d follows %d", item.Number, seen[i-1].Number)
				}
				found[item.Session] = true
			}
			delete(found, "")
			if len(found) != sessions ||
				!slices.ContainsFunc(seen, func(i watchword.FeedItem) bool { return i.User != "" }) {
				s.Errorf("a reader saw %d sessions of %d", len(found), sessions)
			}
		}
	},
}

// addFed inserts a user whose roles never changed, so that the feed has no entry for this user.
func (s suite) addFed(n int) watchword.User {
	s.Helper()
	u := User(n)
	u.RolesChangedAt = time.Time{}
	s.wantHeld(true, "insert user", insertUser(u, Start))
	return u
}

func (s suite) number(limit int) (n int) { s.Helper(); return s.numberAbove(0, limit) }

func (s suite) numberAbove(above int64, limit int) (n int) {
	s.Helper()
	s.update(func(ctx context.Context, tx watchword.Tx) (err error) {
		n, err = tx.NumberFeed(ctx, above, limit)
		return err
	})
	return n
}

func (s suite) feed(after int64, since time.Time, limit int) (items []watchword.FeedItem) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		items, err = tx.Feed(ctx, after, since, limit)
		return err
	})
	return items
}

func (s suite) feedState() (state watchword.FeedState) {
	s.Helper()
	s.view(func(ctx context.Context, tx watchword.Tx) (err error) {
		state, err = tx.FeedState(ctx)
		return err
	})
	return state
}
