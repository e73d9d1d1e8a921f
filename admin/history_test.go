package admin_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

// A session that expires without a request is never recorded as ended. History must list it with its computed end.
func TestHistoryHasSessionsThatEndedByThemselves(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		c := startTwoProcesses(t, store)
		m := c.one
		operator := m.Engine().Operator()
		begin := func(persistent bool) watchword.Session {
			in, err := operator.AdmitUser(t.Context(), watchword.AdmitRequest{
				User: c.root.User.ID, Methods: []string{"pwd"}, Persistent: persistent})
			wantCode(t, err, "")
			return in.Session
		}
		want := func(all ...watchword.Session) {
			t.Helper()
			got, _, err := m.History(t.Context(), c.root.User.ID)
			wantCode(t, err, "")
			if got, all := endsOf(got), endsOf(all); !slices.Equal(got, all) {
				t.Errorf("got %v, want %v", got, all)
			}
		}
		closed := begin(true)
		c.advance(time.Minute)
		idle := begin(false)
		c.advance(time.Hour)
		wantCode(t, operator.EndUserSession(t.Context(), c.root.User.ID, closed.ID), "")
		closed.EndedAt, closed.EndedWhy = c.clock(), watchword.EndedOperator
		want(closed)
		c.advance(day)
		idle.EndedAt, idle.EndedWhy = idle.CreatedAt.Add(day), watchword.EndedIdle
		begin(true)
		want(idle, closed)
		c.advance(6*day + time.Minute) // more than 7 days after the first end
		want(idle)
		c.advance(23 * time.Hour)
		want()
		wantCode(t, operator.DeleteUser(t.Context(), c.root.User.ID), "")
		_, _, err := m.History(t.Context(), c.root.User.ID)
		wantCode(t, err, watchword.CodeNotFound)
	})
}

func endsOf(all []watchword.Session) (ends []string) {
	for _, s := range all {
		ends = append(ends, fmt.Sprint(s.ID, " ", s.EndedWhy, " ", s.EndedAt.UTC()))
	}
	return ends
}
