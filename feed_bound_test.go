package watchword_test

import (
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func readWholeFeed(t *testing.T, r *rig) (events []watchword.FeedEvent) {
	t.Helper()
	for after := int64(0); ; {
		page, err := r.Revocations(t.Context(), after, 1000)
		if err != nil {
			t.Error(err)
			return nil
		}
		events = append(events, page.Events...)
		if !page.More {
			return events
		}
		if page.Next <= after {
			t.Errorf("the page after %d leads to %d", after, page.Next)
			return nil
		}
		after = page.Next
	}
}

// Sixty thousand sessions end, and readers then begin at number 0. With -short there are fewer sessions, but more
// than the feed keeps in memory.
//
// MEM-1
func TestTheFeedOfManyEndedSessionsIsBounded(t *testing.T) {
	t.Parallel()
	ended := 60_000
	if testing.Short() {
		ended = 24_000
	}
	path := newDatabasePath(t)
	r := startOn(t, path, unlimited)
	r.signUp(t, "ada@example.com")
	insertEndedSessions(t, path, ended, r.clock.Now().Add(-time.Minute))
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), `
		UPDATE sessions SET feed_number = CAST(substr(id, 25) AS INTEGER) WHERE ended_at > 0;
		UPDATE feed SET last = $1`, ended)
	must(t, err)
	must(t, db.Close())
	r.runInBackground(t)
	for {
		if _, err := r.Revocations(t.Context(), 0, 1); !errors.Is(err, watchword.ErrUnavailable) {
			must(t, err)
			break
		}
		time.Sleep(time.Millisecond) // the background worker has not read the feed yet
	}

	begun := time.Now()
	first := readWholeFeed(t, r)
	t.Logf("the first reader took %s for %d events", time.Since(begun).Round(time.Millisecond), len(first))
	for i, event := range first {
		if event.Number != int64(i+1) || event.Token == "" {
			t.Fatalf("event %d has number %d", i+1, event.Number)
		}
	}
	items, tokens, bytes := r.FeedMemory()
	t.Logf("%d items, %d tokens, %d bytes", items, tokens, bytes)
	if len(first) != ended || items > 20_000 || tokens > 28_000 || bytes > 28<<20 {
		t.Errorf("read %d events of %d; the process holds %d items and %d tokens of %d bytes",
			len(first), ended, items, tokens, bytes)
	}

	// Two ES256 signatures of the same item differ. Therefore equal tokens show that all readers share one signature.
	var reading sync.WaitGroup
	begun = time.Now()
	for range 10 {
		reading.Go(func() {
			page, err := r.Revocations(t.Context(), 0, 1000)
			if err != nil {
				t.Error(err)
				return
			}
			newest, err := r.Revocations(t.Context(), int64(ended-1000), 1000)
			if err != nil || newest.More ||
				newest.Events[999] != first[ended-1] || newest.Events[0] != first[ended-1000] {
				t.Errorf("the newest events were signed again, error %v", err)
			}
			again, err := r.Revocations(t.Context(), 0, 1000)
			if err != nil || again.Events[0] != page.Events[0] || again.Events[999] != page.Events[999] {
				t.Errorf("an older page was signed again, error %v", err)
			}
		})
	}
	reading.Wait()
	t.Logf("ten readers took %s", time.Since(begun).Round(time.Millisecond))
}
