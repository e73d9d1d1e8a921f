package admin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

// Test 26 of the specification: the same key twice at once creates one user.
func TestParallelRequestsWithOneKeyRunOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store)
		ctx := t.Context()
		for range 5 {
			key, name := uuid.NewString(), uuid.NewString()
			invite := admin.NewAccount{Email: name + "@example.com", Invite: true}
			var ids [4]watchword.UserID
			var repeated [4]bool
			var running sync.WaitGroup
			for i := range ids {
				running.Go(func() {
					by, err := m.Begin(ctx, both[0], key, "hash")
					if err != nil {
						t.Error(err)
						return
					}
					user, err := m.Create(ctx, by, invite)
					if err != nil {
						t.Error(err)
						return
					}
					_, repeated[i] = by.Repeated()
					ids[i] = user.ID
					if err := m.Finish(ctx, by, 201); err != nil {
						t.Error(err)
					}
				})
			}
			running.Wait()
			first := 0
			for i := range ids {
				if ids[i] != ids[0] || ids[i] == "" {
					t.Errorf("got the users %v", ids)
				}
				if !repeated[i] {
					first++
				}
			}
			if first != 1 {
				t.Errorf("%d of 4 requests ran", first)
			}
		}
	})
}

func TestIdempotencyKeyBelongsToOneRequestOfOneCaller(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store)
		ctx, key := t.Context(), uuid.NewString()
		by, err := m.Begin(ctx, both[0], key, "one")
		wantCode(t, err, "")
		created, secret, err := m.CreateServiceKey(ctx, by, admin.NewServiceKey{Name: "a", Scopes: []string{"mail"}})
		wantCode(t, err, "")
		wantCode(t, m.Finish(ctx, by, 201), "")
		if secret == "" {
			t.Error("the first request got no secret")
		}
		_, err = m.Begin(ctx, both[0], key, "another")
		wantCode(t, err, watchword.CodeValidationFailed)
		for _, wrong := range []string{"", "1", key + "x", "{" + key[1:35] + "}", "urn:uuid:" + key} {
			_, err = m.Begin(ctx, both[0], wrong, "one")
			wantCode(t, err, watchword.CodeParameterInvalid)
		}
		again, err := m.Begin(ctx, both[0], key, "one")
		wantCode(t, err, "")
		row, secret, err := m.CreateServiceKey(ctx, again, admin.NewServiceKey{Name: "a", Scopes: []string{"mail"}})
		wantCode(t, err, "")
		if row.ID != created.ID || secret != "" {
			t.Errorf("a repeated request got %+v and %d bytes of a secret", row, len(secret))
		}
		other, err := m.Begin(ctx, both[1], key, "one")
		wantCode(t, err, "")
		if _, repeated := other.Repeated(); repeated {
			t.Error("another administrator got the result")
		}
		// If the response to a commit was lost, the change may be stored. The key must therefore stay claimed.
		wantCode(t, m.GiveUp(ctx, other, watchword.ErrUnavailable), "")
		soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if again, err := m.Begin(soon, both[1], key, "one"); err == nil {
			t.Errorf("a request with an unknown outcome was repeated at once: %+v", again)
		}
		// A refused request releases its key.
		wantCode(t, m.GiveUp(ctx, other, &watchword.Error{Code: watchword.CodeLastAdmin}), "")
		third, err := m.Begin(ctx, both[1], key, "three")
		wantCode(t, err, "")
		if _, repeated := third.Repeated(); repeated {
			t.Error("a request that was given up counts as made")
		}
	})
}

func TestEventsAreFoundInPages(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		m, both := newManagerWithAdmins(t, store)
		ctx := t.Context()
		yes, no := true, false
		for _, disabled := range []*bool{&yes, &no, &yes, &no} {
			_, err := m.Change(ctx, both[0], both[1].User.ID, admin.Change{Disabled: disabled})
			wantCode(t, err, "")
		}
		grace := both[1].User.ID
		for i, address := range []string{"2001:db8::7", "192.0.2.7"} {
			wantCode(t, store.Update(ctx, func(tx watchword.Tx) error {
				return tx.InsertEvent(ctx, watchword.Event{ID: fmt.Sprintf("00000000-0000-7000-8000-%012d", i),
					Kind: watchword.EventLoginFailed, At: both[0].User.CreatedAt.Add(-time.Hour), Address: address})
			}), "")
		}
		for name, c := range map[string]struct {
			filter admin.EventFilter
			want   int
		}{
			"all":             {admin.EventFilter{}, 8},
			"of a user":       {admin.EventFilter{User: grace}, 5},
			"of a kind":       {admin.EventFilter{Kind: "account_disabled"}, 2},
			"of both":         {admin.EventFilter{User: grace, Kind: "account_enabled"}, 2},
			"of nobody":       {admin.EventFilter{User: "x"}, 0},
			"of no address":   {admin.EventFilter{Address: "192.0.2.1"}, 0},
			"of no IP":        {admin.EventFilter{Address: "localhost"}, 0},
			"of an address":   {admin.EventFilter{Address: "2001:db8::7"}, 1},
			"in another form": {admin.EventFilter{Address: "2001:DB8:0:0:0:0:0:0007"}, 1},
			"with a zone":     {admin.EventFilter{Address: "2001:db8::7%eth0"}, 1},
			"mapped":          {admin.EventFilter{Address: "::ffff:192.0.2.7"}, 1},
			"until the first": {admin.EventFilter{To: both[0].User.CreatedAt}, 2},
			"from the first":  {admin.EventFilter{From: both[0].User.CreatedAt}, 6},
		} {
			var found []watchword.Event
			for next := ""; ; {
				page, err := m.FindEvents(ctx, c.filter, next, 2)
				wantCode(t, err, "")
				found = append(found, page.Items...)
				if next = page.Next; next == "" {
					break
				}
			}
			seen := map[string]bool{}
			for i, e := range found {
				if seen[e.ID] || (i > 0 && e.At.After(found[i-1].At)) {
					t.Errorf("%s: event %d is repeated or not in order", name, i)
				}
				seen[e.ID] = true
			}
			if len(found) != c.want {
				t.Errorf("%s: %d events, want %d", name, len(found), c.want)
			}
		}
		mails, next, err := m.FindMails(ctx, "", "", 1)
		wantCode(t, err, "")
		more, last, err := m.FindMails(ctx, "", next, 1)
		wantCode(t, err, "")
		if len(mails) != 1 || len(more) != 1 || mails[0].ID == more[0].ID || last != "" {
			t.Errorf("mails: %v %q, then %v %q", mails, next, more, last)
		}
		own, _, err := m.FindMails(ctx, grace, "", 0)
		wantCode(t, err, "")
		if len(own) != 1 || own[0].UserID != grace {
			t.Errorf("mails of one user: %v", own)
		}
		wantCode(t, m.RetryMail(ctx, both[0], own[0].ID), "")
		wantCode(t, m.RetryMail(ctx, both[0], "x"), watchword.CodeNotFound)
		stats, err := m.Stats(ctx)
		wantCode(t, err, "")
		if stats.Accounts != 2 || stats.Sessions != 0 || stats.MailWaiting != 2 || len(stats.Hours) != 24 {
			t.Errorf("%+v", stats)
		}
	})
}
