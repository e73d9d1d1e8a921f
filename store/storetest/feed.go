package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-auth/watchword"
)

var feedTests = map[string]func(suite){
	"EndedSessionsAreNumberedOnce": func(s suite) {
		u := s.addUserWithoutFeedEntry(1)
		alive, first, second := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2)),
			s.addSession(Session(u.ID, 3))
		wantEqual(s, "state of nothing", s.readFeedState(), watchword.FeedState{})
		s.wantUpdate(true, "end", endSession(second, watchword.EndedReuse, afterStart(2*time.Second)))
		s.wantUpdate(true, "end", endSession(first, watchword.EndedLogout, afterStart(time.Second)))
		wantEqual(s, "state before", s.readFeedState(), watchword.FeedState{Unnumbered: afterStart(time.Second)})
		wantEqual(s, "items without a number", s.readFeed(0, time.Time{}, 9), nil)
		wantEqual(s, "numbered", s.numberFeed(9), 2)
		wantEqual(s, "numbered again", s.numberFeed(9), 0)
		want := []watchword.FeedItem{
			{Number: 1, Session: first.ID, At: afterStart(time.Second), Why: watchword.EndedLogout},
			{Number: 2, Session: second.ID, At: afterStart(2 * time.Second), Why: watchword.EndedReuse},
		}
		wantEqual(s, "items", s.readFeed(0, time.Time{}, 9), want)
		wantEqual(s, "after the first", s.readFeed(1, time.Time{}, 9), want[1:])
		wantEqual(s, "of what happened later", s.readFeed(0, afterStart(time.Second), 9), want[1:])
		wantEqual(s, "one", s.readFeed(0, time.Time{}, 1), want[:1])
		wantEqual(s, "after all", s.readFeed(2, time.Time{}, 9), nil)
		wantEqual(s, "state after", s.readFeedState(), watchword.FeedState{Last: 2})
		s.wantUpdate(true, "end", endSession(alive, watchword.EndedLogout, afterStart(time.Second)))
		wantEqual(s, "numbered later", s.numberFeed(9), 1)
		wantEqual(s, "the later one", s.readFeed(2, time.Time{}, 9),
			[]watchword.FeedItem{{Number: 3, Session: alive.ID, At: afterStart(time.Second),
				Why: watchword.EndedLogout}})
	},

	"FeedNumbersExceedTheLastAndTheGivenNumber": func(s suite) {
		u := s.addUserWithoutFeedEntry(1)
		for n, c := range []struct{ above, want int64 }{{1 << 50, 1<<50 + 1}, {5, 1<<50 + 2}, {1<<50 + 2, 1<<50 + 3}} {
			ended := s.addSession(Session(u.ID, n))
			s.wantUpdate(true, "end", endSession(ended, watchword.EndedLogout, Start))
			wantEqual(s, "numbered", s.numberFeedAbove(c.above, 9), 1)
			wantEqual(
				s,
				"items",
				s.readFeed(c.want-1, time.Time{}, 9),
				[]watchword.FeedItem{{Number: c.want, Session: ended.ID, At: Start, Why: watchword.EndedLogout}},
			)
		}
	},

	// JWT-15
	"EachChangeOfRolesIsNumbered": func(s suite) {
		u, unchanged := s.addUserWithoutFeedEntry(1), s.addUserWithoutFeedEntry(2)
		for n := range int64(3) {
			at := afterStart(time.Duration(n) * time.Second)
			s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
				return tx.SetRoles(ctx, u.ID, []string{"staff"}, at)
			})
			wantEqual(s, "state", s.readFeedState(), watchword.FeedState{Last: n, Unnumbered: at})
			wantEqual(s, "numbered", s.numberFeed(9), 1)
			wantEqual(s, "items", s.readFeed(0, time.Time{}, 9), []watchword.FeedItem{{Number: n + 1,
				User: u.ID, At: at}})
		}
		wantEqual(s, "others", s.readUser(unchanged.ID), unchanged)
	},

	"RotationAndSweepDoNotChangeTheFeed": func(s suite) {
		u := s.addUserWithoutFeedEntry(1)
		one, other := s.addSession(Session(u.ID, 1)), s.addSession(Session(u.ID, 2))
		s.wantUpdate(true, "end", endSession(one, watchword.EndedLogout, Start))
		s.numberFeed(9)
		if got, err := s.Rotate(s.Context(), Rotate(other, Start)); err != nil || !got.Rotated {
			s.Fatalf("rotate: %+v, %v", got, err)
		}
		wantEqual(s, "state", s.readFeedState(), watchword.FeedState{Last: 1})
		s.wantSwept(watchword.SweepSessions, afterStart(time.Second), 1)
		wantEqual(s, "items", s.readFeed(0, time.Time{}, 9), nil)
		wantEqual(s, "the number is not given again", s.readFeedState(), watchword.FeedState{Last: 1})
	},

	// RL-8
	"ManyEndedSessionsAreNumberedInBatches": func(s suite) {
		const many, batch = 2000, 500
		u := s.addUserWithoutFeedEntry(1)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
			for n := range many {
				if err := tx.InsertSession(ctx, Session(u.ID, n)); err != nil {
					return err
				}
			}
			ended, err := tx.EndSessions(ctx, u.ID, "", watchword.EndedLogoutAll, Start)
			wantEqual(s, "ended", ended, many)
			return err
		})
		for range many / batch {
			wantEqual(s, "numbered", s.numberFeed(batch), batch)
		}
		wantEqual(s, "numbered in the end", s.numberFeed(batch), 0)
		seen := map[watchword.SessionID]bool{}
		last := int64(0)
		for {
			page := s.readFeed(last, time.Time{}, batch)
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
		wantEqual(s, "sessions in the feed", len(seen), many)
	},

	// If several processes assign numbers at the same time, no number must be assigned twice. After a reader has seen
	// a number, no smaller number may appear.
	"FeedNumbersBecomeVisibleInOrder": func(s suite) {
		sessions, processes := 3*raceRounds()/5, 3
		users := []watchword.User{s.addUserWithoutFeedEntry(1), s.addUserWithoutFeedEntry(2)}
		for n := range sessions {
			s.addSession(Session(users[n%2].ID, n))
		}
		var ending, working sync.WaitGroup
		var ended atomic.Bool
		for half := range 2 {
			ending.Go(func() {
				for n := half; n < sessions; n += 2 {
					s.tryUpdate(endSession(Session(users[half].ID, n), watchword.EndedLogout,
						afterStart(time.Duration(n)*time.Millisecond)))
					if n%20 == half {
						s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error {
							return tx.SetRoles(ctx, users[half].ID, nil, afterStart(time.Duration(n)*time.Second))
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
					over = ended.Load() && s.numberFeed(7) == 0 // all numbers are assigned, so one last read suffices
					if !over {
						s.numberFeed(7)
					}
					for _, item := range s.readFeed(last, time.Time{}, 1000) {
						readers[i] = append(readers[i], item)
						last = item.Number
					}
				}
			})
		}
		ending.Wait()
		ended.Store(true)
		working.Wait()
		wantEqual(s, "nothing waits", s.readFeedState().Unnumbered, time.Time{})
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

// addUserWithoutFeedEntry inserts a user whose roles never changed.
func (s suite) addUserWithoutFeedEntry(n int) watchword.User {
	s.Helper()
	u := User(n)
	u.RolesChangedAt = time.Time{}
	s.wantUpdate(true, "insert user", insertUser(u, Start))
	return u
}

func (s suite) numberFeed(limit int) (n int) { s.Helper(); return s.numberFeedAbove(0, limit) }

func (s suite) numberFeedAbove(above int64, limit int) (n int) {
	s.Helper()
	s.mustUpdate(func(ctx context.Context, tx watchword.Tx) (err error) {
		n, err = tx.NumberFeed(ctx, above, limit)
		return err
	})
	return n
}

func (s suite) readFeed(after int64, since time.Time, limit int) (items []watchword.FeedItem) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		items, err = tx.Feed(ctx, after, since, limit)
		return err
	})
	return items
}

func (s suite) readFeedState() (state watchword.FeedState) {
	s.Helper()
	s.mustView(func(ctx context.Context, tx watchword.Tx) (err error) {
		state, err = tx.FeedState(ctx)
		return err
	})
	return state
}
