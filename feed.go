package watchword

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/feedlog"
	"github.com/watchword-auth/watchword/internal/secevent"
)

// The revocation feed (docs/revocation.md) lists ended sessions and users whose roles changed, for services that verify
// access tokens themselves. An item stays until all access tokens issued before the change have expired.
//
// The feed is read from the rows of sessions and users, so a flow can't forget to publish. For example, an ended
// session without a number is a new item. All processes compete to number new items. An item never becomes visible
// after an item with a larger number. A reader therefore only needs "all items after N".
//
// The newest items are kept in memory (internal/feedlog). Older items are read from the store.

const (
	feedPoll      = 200 * time.Millisecond // delay until a process sees sessions that another process ended
	feedHeartbeat = 2 * time.Second
	feedBatch     = 1000
	feedWindow    = maxAccessTTL + 5*time.Minute // the additional 5 minutes allow for clock skew
	feedWait      = 3 * feedPoll                 // maximum wait for items that a reader got from another process
)

// A FeedItem is a session that has ended, or a user whose roles have changed.
//
// Unstable: only stores use it.
type FeedItem struct {
	Number  int64
	Session SessionID // the ended session; empty: the item concerns User
	User    UserID    // the user whose tokens issued before At are outdated
	At      time.Time
	Why     EndReason // why Session ended
}

// A FeedState is the progress of the numbering.
//
// Unstable: only stores use it.
type FeedState struct {
	Last       int64     // the highest number of an item
	Unnumbered time.Time // time of the oldest item that has no number yet; zero: no such item
}

// A FeedPage is a part of the feed.
//
// Unstable: only the server uses it.
type FeedPage struct {
	Events    []FeedEvent
	Next      int64           // position to pass to the next call
	More      bool            // another page is available now
	Heartbeat FeedEvent       // all changes made before the heartbeat are in the feed
	Changed   <-chan struct{} // closed when there is a new item or a new heartbeat
}

// A FeedEvent is a Security Event Token (RFC 8417).
//
// Unstable: only the server uses it.
type FeedEvent struct {
	Number int64  // 0 for a heartbeat
	ID     string // `jti`
	Token  string
}

func (e *Engine) runFeed(ctx context.Context) {
	e.mayHaveEnded.Loop(ctx, feedPoll, e.readFeed, func(err error) {
		e.log.Error("can't read or number the revocation feed: verifiers receive no revocations", slog.Any("error", err))
	})
}

// readFeed numbers and reads new items. The heartbeat says that the feed has all changes made before this call.
func (e *Engine) readFeed(ctx context.Context) (more bool, err error) {
	now := e.now()
	more, err = e.numberFeed(ctx, now)
	if err != nil {
		return false, err
	}
	last := e.feed.Progress().Last
	var state FeedState
	var items []FeedItem
	err = e.store.View(ctx, func(tx Tx) (err error) {
		if state, err = tx.FeedState(ctx); err != nil || state.Last == last {
			return err
		}
		items, err = tx.Feed(ctx, last, now.Add(-feedWindow), feedBatch)
		return err
	})
	if err != nil {
		return false, err
	}
	if state.Last < last {
		e.log.Error("the numbers of the revocation feed went backwards: was the store restored from a backup?")
		e.feed.Reset()
		return true, nil
	}
	if len(items) == feedBatch {
		more, state.Last = true, items[feedBatch-1].Number
	}
	read := make([]feedlog.Item[FeedItem, FeedEvent], len(items))
	for i, item := range items {
		read[i] = feedlog.Item[FeedItem, FeedEvent]{Number: item.Number, At: item.At, Value: item}
	}
	e.feed.Add(read, feedlog.Progress(state), now)
	if len(items) > 0 {
		e.callbackSignals[CallbackSessionEnded].Set()
	}
	if more {
		return true, nil
	}
	return false, e.issueHeartbeat(now, state)
}

// numberFeed gives new items numbers that are at least the current time in microseconds. If a store loses its latest
// commits (failover, backup), the new numbers are therefore larger than the lost ones, and readers skip no item.
func (e *Engine) numberFeed(ctx context.Context, now time.Time) (more bool, err error) {
	state, err := queryStore(ctx, e.store, func(tx Tx) (FeedState, error) { return tx.FeedState(ctx) })
	if err != nil || state.Unnumbered.IsZero() {
		return false, err
	}
	e.feed.SetUnnumbered(state.Unnumbered)
	n, err := updateStore(ctx, e.store, func(tx Tx) (int, error) {
		return tx.NumberFeed(ctx, now.UnixMicro(), feedBatch)
	})
	return n >= feedBatch, err
}

// issueHeartbeat issues at most one heartbeat per feedHeartbeat.
func (e *Engine) issueHeartbeat(now time.Time, state FeedState) error {
	return e.feed.SetHeartbeat(feedHeartbeat, func() (FeedEvent, error) {
		key, err := e.keys.activeSigningKey(now)
		if err != nil {
			return FeedEvent{}, err
		}
		id := newID()
		token, err := secevent.Sign(key, secevent.Event{
			Issuer: e.opts.PublicURL, Audience: e.opts.Audience, ID: id, IssuedAt: now.Unix(),
			Kind: secevent.Heartbeat, Head: state.Last,
		})
		return FeedEvent{ID: id, Token: token}, err
	})
}

// Revocations returns up to limit events (at most 1000) with numbers above the cursor. If the cursor is above the last
// number, because a backup was restored, the feed restarts at its beginning. It returns ErrUnavailable until Run
// has read the feed once.
//
// Unstable: only the server uses it.
func (e *Engine) Revocations(ctx context.Context, cursor int64, limit int) (FeedPage, error) {
	limit = min(limit, feedBatch)
	e.feed.Wait(ctx, cursor, feedWait)
	key, err := e.keys.activeSigningKey(e.now())
	if err != nil {
		return FeedPage{}, err
	}
	read, ok := e.feed.Page(cursor, limit)
	if !ok {
		return FeedPage{}, fmt.Errorf("%w: the revocation feed has not been read yet", ErrUnavailable)
	}
	page := FeedPage{Next: read.After, More: read.More, Heartbeat: read.Heartbeat, Changed: read.Changed}
	if read.Older {
		page.Events, err = e.feed.Older(ctx, read.After, limit, key.ID(), func() ([]FeedEvent, error) {
			return e.signOldItems(ctx, read.After, limit, key)
		})
	} else {
		page.Events, err = e.feed.Events(read.Items, key.ID(), func(item FeedItem) (FeedEvent, error) {
			return e.signItem(item, key)
		})
	}
	if n := len(page.Events); n > 0 {
		page.Next = page.Events[n-1].Number
	} else if read.Older {
		page.Next = max(page.Next, e.feed.LastDropped()) // the store has deleted the older items
	}
	return page, err
}

func (e *Engine) signOldItems(ctx context.Context, after int64, limit int, key accesstoken.Key) ([]FeedEvent, error) {
	items, err := queryStore(ctx, e.store, func(tx Tx) ([]FeedItem, error) {
		return tx.Feed(ctx, after, e.now().Add(-feedWindow), limit)
	})
	if err != nil {
		return nil, err
	}
	events := make([]FeedEvent, len(items))
	for i, item := range items {
		if events[i], err = e.signItem(item, key); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (e *Engine) signItem(item FeedItem, key accesstoken.Key) (FeedEvent, error) {
	event := secevent.Event{
		Issuer: e.opts.PublicURL, Audience: e.opts.Audience, IssuedAt: e.now().Unix(),
		Number: item.Number, At: item.At.Unix(),
	}
	if item.Session != "" {
		event.Kind, event.Session = secevent.SessionRevoked, string(item.Session)
		event.Initiator, event.Reason = secevent.Initiator(string(item.Why)), string(item.Why)
	} else {
		event.Kind, event.User, event.Initiator = secevent.ClaimsChanged, string(item.User), "admin"
	}
	event.ID = strconv.FormatInt(item.Number, 10) + "-" + event.Session + event.User
	token, err := secevent.Sign(key, event)
	if err != nil {
		return FeedEvent{}, err
	}
	return FeedEvent{Number: item.Number, ID: event.ID, Token: token}, nil
}
