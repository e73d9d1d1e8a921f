package watchword

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/secevent"
)

// The revocation feed (docs/revocation.md) informs services that verify access tokens themselves. It lists ended
// sessions and users whose roles changed, until all access tokens from before the change have expired.
//
// Its source is the rows of sessions and users, so a flow can't forget to publish: an ended session
// without a number is a new item. All processes compete to number new items. An item never becomes
// visible after one with a larger number, so a reader only needs "all items after N".
//
// The newest items are kept in memory. Each is signed once, on the first read. Older items are read from the store,
// one page at a time, with a pause as long as its signing took. Readers from 0 therefore use at most half a core. Some
// of these pages are cached for readers that start at the same time.

const (
	feedPoll      = 200 * time.Millisecond // how soon a process sees sessions that another process ended
	feedHeartbeat = 2 * time.Second
	feedBatch     = 1000
	feedWindow    = maxAccessTTL + 5*time.Minute // 5 minutes of tolerance cover clock skew
	feedWait      = 3 * feedPoll                 // how long to wait for items that a reader got from another process

	feedKept      = 20_000 // items in memory, with their tokens about 20 MB
	feedPagesKept = 8      // cached pages of older items
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
	Last       int64     // the largest number
	Unnumbered time.Time // since when the oldest item has waited for a number; zero: all have one
}

// A FeedPage is a part of the feed.
//
// Unstable: only the server uses it.
type FeedPage struct {
	Events    []FeedEvent
	Next      int64           // continue after this number
	More      bool            // another page is available now
	Heartbeat FeedEvent       // all changes before it was issued are in the feed
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

// feed is the state of the feed in one process.
type feed struct {
	wake chan struct{}

	signing sync.Mutex    // guards the signing of items in memory; locked before mu
	older   chan struct{} // semaphore of the reader that reads and signs an older page

	mu        sync.Mutex
	items     []signedItem // the newest items of the window, by number
	dropped   FeedItem     // the newest item of the window that is not in memory, or zero
	pages     []signedPage // cached pages of older items, first cached first
	state     FeedState
	heartbeat FeedEvent // zero until the first complete read
	issued    time.Time // when heartbeat was issued (monotonic)
	changed   chan struct{}
}

type signedItem struct {
	FeedItem
	key   string // kid that signed
	event FeedEvent
}

// A signedPage is a page of items that are no longer in memory.
type signedPage struct {
	after  int64
	limit  int
	key    string // kid that signed
	events []FeedEvent
}

func newFeed() feed {
	return feed{wake: make(chan struct{}, 1), older: make(chan struct{}, 1), changed: make(chan struct{})}
}

// wakeFeed tells the worker that a session may have ended.
func (e *Engine) wakeFeed() {
	select {
	case e.feed.wake <- struct{}{}:
	default: // it is already awake
	}
}

// runFeed numbers and reads new items until ctx ends.
func (e *Engine) runFeed(ctx context.Context) {
	poll := time.NewTicker(feedPoll)
	defer poll.Stop()
	failing := false
	for ctx.Err() == nil {
		more, err := e.readFeed(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			e.log.Error("can't read or number the revocation feed: verifiers receive no revocations", slog.Any("error", err))
		}
		failing = err != nil
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.feed.wake:
		case <-poll.C:
		}
	}
}

// readFeed numbers new items, reads numbered ones, and reports whether there may be more at once. After the last batch
// it issues a heartbeat: all changes from before this call are then in the feed.
func (e *Engine) readFeed(ctx context.Context) (more bool, err error) {
	now := e.now()
	more, err = e.numberFeed(ctx, now)
	if err != nil {
		return false, err
	}
	last := e.feed.progress().Last
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
		e.feed.reset()
		return true, nil
	}
	if len(items) == feedBatch {
		more, state.Last = true, items[feedBatch-1].Number
	}
	e.feed.add(items, state, now)
	if len(items) > 0 {
		e.wakeCallbacks(CallbackSessionEnded)
	}
	if more {
		return true, nil
	}
	return false, e.issueHeartbeat(now, state)
}

// numberFeed numbers items that have no number, and reports whether there may be more.
// Numbers are at least the time in microseconds. A store that lost its latest commits
// (failover, backup) therefore never reuses a number, and readers skip no item.
func (e *Engine) numberFeed(ctx context.Context, now time.Time) (more bool, err error) {
	state, err := view(ctx, e.store, func(tx Tx) (FeedState, error) { return tx.FeedState(ctx) })
	if err != nil || state.Unnumbered.IsZero() {
		return false, err
	}
	e.feed.setUnnumbered(state.Unnumbered)
	err = e.store.Update(ctx, func(tx Tx) error {
		n, err := tx.NumberFeed(ctx, now.UnixMicro(), feedBatch)
		more = n >= feedBatch
		return err
	})
	return more, err
}

// progress returns how far this process has read the feed.
func (f *feed) progress() FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// setUnnumbered stores since when the oldest item has waited for a number.
func (f *feed) setUnnumbered(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Unnumbered = since
}

func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.dropped, f.pages, f.state, f.heartbeat = nil, FeedItem{}, nil, FeedState{}, FeedEvent{}
}

// add appends items that were read. It drops items older than feedWindow, and the oldest above feedKept.
func (f *feed) add(items []FeedItem, state FeedState, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = state
	for _, item := range items {
		f.items = append(f.items, signedItem{FeedItem: item})
	}
	over := 0
	for over < len(f.items) && now.Sub(f.items[over].At) > feedWindow {
		over++
	}
	if many := len(f.items) - feedKept; many > over {
		over, f.dropped = many, f.items[many-1].FeedItem
	}
	f.items = slices.Delete(f.items, 0, over)
	if f.dropped.Number > 0 && now.Sub(f.dropped.At) > feedWindow {
		f.dropped, f.pages = FeedItem{}, nil
	}
	if len(items) > 0 {
		f.wakeReaders()
	}
}

// wakeReaders wakes the readers that wait on changed. The caller holds mu.
func (f *feed) wakeReaders() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// issueHeartbeat signs a heartbeat: all changes before now are in the feed. It issues at most one per feedHeartbeat.
func (e *Engine) issueHeartbeat(now time.Time, state FeedState) error {
	f := &e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heartbeat.ID != "" && time.Since(f.issued) < feedHeartbeat {
		return nil
	}
	id := newID()
	key, err := e.keys.signer(now)
	if err != nil {
		return err
	}
	token, err := secevent.Sign(key, secevent.Event{
		Issuer: e.opts.PublicURL, Audience: e.opts.Audience, ID: id, IssuedAt: now.Unix(),
		Kind: secevent.Heartbeat, Head: state.Last,
	})
	if err != nil {
		return err
	}
	f.heartbeat, f.issued = FeedEvent{ID: id, Token: token}, time.Now()
	f.wakeReaders()
	return nil
}

// Revocations returns up to limit events (at most 1000) after a number. A number above the last one comes from before
// a backup was restored: the feed then starts again at its beginning. It returns ErrUnavailable until Run has read
// the feed once.
//
// Unstable: only the server uses it.
func (e *Engine) Revocations(ctx context.Context, after int64, limit int) (FeedPage, error) {
	f := &e.feed
	f.await(ctx, after)
	key, err := e.keys.signer(e.now())
	if err != nil {
		return FeedPage{}, err
	}
	page, items, err := f.page(after, min(limit, feedBatch))
	if err != nil {
		return FeedPage{}, err
	}
	if items == nil && page.More {
		page.Events, err = e.olderPage(ctx, page.Next, min(limit, feedBatch), key)
	} else {
		page.Events, err = e.signItems(items, key)
	}
	if n := len(page.Events); n > 0 {
		page.Next = page.Events[n-1].Number
	} else if items == nil && page.More {
		page.Next = max(page.Next, f.lastDropped()) // the store has swept them
	}
	return page, err
}

// page returns a page without its events, and the items of the events. If these items
// are no longer in memory, the items are nil and More is true.
func (f *feed) page(after int64, limit int) (FeedPage, []signedItem, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heartbeat.ID == "" {
		return FeedPage{}, nil, fmt.Errorf("%w: the revocation feed has not been read yet", ErrUnavailable)
	}
	if after > f.state.Last {
		after = 0
	}
	page := FeedPage{Next: after, Heartbeat: f.heartbeat, Changed: f.changed}
	if after < f.dropped.Number {
		page.More = true
		return page, nil, nil
	}
	first := f.find(after + 1)
	end := min(first+limit, len(f.items))
	page.More = end < len(f.items)
	return page, slices.Clone(f.items[first:end]), nil
}

func (f *feed) lastDropped() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped.Number
}

// find returns the index of the first item with that number or a larger one.
func (f *feed) find(number int64) int {
	i, _ := slices.BinarySearchFunc(f.items, number, func(item signedItem, number int64) int {
		return cmp.Compare(item.Number, number)
	})
	return i
}

// signItems returns the events of items in memory, and caches new signatures.
func (e *Engine) signItems(items []signedItem, key accesstoken.Key) ([]FeedEvent, error) {
	f := &e.feed
	if slices.ContainsFunc(items, func(item signedItem) bool { return item.key != key.ID() }) {
		f.signing.Lock()
		defer f.signing.Unlock()
		f.refresh(items) // another reader may have signed them
		for i := range items {
			if items[i].key == key.ID() {
				continue
			}
			event, err := e.signItem(items[i].FeedItem, key)
			if err != nil {
				return nil, err
			}
			items[i].key, items[i].event = key.ID(), event
		}
		f.keep(items)
	}
	var events []FeedEvent
	for _, item := range items {
		events = append(events, item.event)
	}
	return events, nil
}

// refresh copies signatures that other readers have cached.
func (f *feed) refresh(items []signedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range items {
		if at := f.find(items[i].Number); at < len(f.items) && f.items[at].Number == items[i].Number {
			items[i] = f.items[at]
		}
	}
}

// keep caches signed items.
func (f *feed) keep(items []signedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range items {
		if at := f.find(items[i].Number); at < len(f.items) && f.items[at].FeedItem == items[i].FeedItem {
			f.items[at] = items[i]
		}
	}
}

// olderPage returns the events after a number that are no longer in memory.
func (e *Engine) olderPage(ctx context.Context, after int64, limit int, key accesstoken.Key) ([]FeedEvent, error) {
	f := &e.feed
	if events, found := f.kept(after, limit, key.ID()); found {
		return events, nil
	}
	select {
	case f.older <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	begun := time.Now()
	defer func() { time.AfterFunc(time.Since(begun), func() { <-f.older }) }()
	if events, found := f.kept(after, limit, key.ID()); found {
		begun = time.Now() // a cached page needs no pause
		return events, nil
	}
	items, err := view(ctx, e.store, func(tx Tx) ([]FeedItem, error) {
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
	if len(events) > 0 {
		f.keepPage(signedPage{after, limit, key.ID(), events})
	}
	return events, nil
}

func (f *feed) keepPage(p signedPage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pages) == feedPagesKept {
		f.pages = slices.Delete(f.pages, 0, 1)
	}
	f.pages = append(f.pages, p)
}

// kept returns a cached page of older items.
func (f *feed) kept(after int64, limit int, key string) ([]FeedEvent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.pages {
		if p.after == after && p.limit == limit && p.key == key {
			return p.events, true
		}
	}
	return nil, false
}

// await waits up to feedWait for items that a reader has already seen from another process.
func (f *feed) await(ctx context.Context, after int64) {
	patience := time.NewTimer(feedWait)
	defer patience.Stop()
	for {
		f.mu.Lock()
		ready, changed := f.heartbeat.ID != "" && after <= f.state.Last, f.changed
		f.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// signItem signs an item.
func (e *Engine) signItem(item FeedItem, key accesstoken.Key) (FeedEvent, error) {
	event := secevent.Event{
		Issuer: e.opts.PublicURL, Audience: e.opts.Audience, IssuedAt: e.now().Unix(),
		Number: item.Number, At: item.At.Unix(),
	}
	if item.Session != "" {
		event.Kind, event.Session = secevent.SessionRevoked, string(item.Session)
		event.Initiator, event.Reason = initiator(item.Why), string(item.Why)
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
