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

// The revocation feed (docs/revocation.md) tells those who verify access tokens
// themselves which sessions have ended, and whose roles have changed, for as long
// as a token from before can be alive.
//
// Its source are the rows of sessions and users, so that no flow can forget it: an
// ended session that has no number yet is news. Every process numbers what it
// finds, competing; a number never comes into sight after a larger one, so "all
// after N" is all that a reader has to ask.
//
// The newest of them are kept in memory, and each is signed once, when a reader first
// asks for it. Older ones are read from the store, page by page: one page at a time,
// with a pause as long as its signing took, so that readers from 0 take half a core at
// most. A few such pages are kept for readers who start together.

const (
	feedPoll      = 200 * time.Millisecond // how soon what another process ended is seen
	feedHeartbeat = 2 * time.Second
	feedBatch     = 1000
	feedWindow    = maxAccessTTL + 5*time.Minute // clocks differ a little
	feedWait      = 3 * feedPoll                 // for what a reader knows, and we do not yet

	feedKept      = 20_000 // items in memory, with their tokens about 20 MB
	feedPagesKept = 8      // pages of older items
)

// A FeedItem is a session that has ended, or a user whose roles have changed.
type FeedItem struct {
	Number  int64
	Session SessionID // that ended; or
	User    UserID    // whose tokens issued before At are out of date
	At      time.Time
	Why     EndReason // of a session
}

// A FeedState is how far the numbering has come.
type FeedState struct {
	Last       int64     // number given
	Unnumbered time.Time // since when the oldest item waits for one; zero: none does
}

// A FeedPage is a part of the feed.
type FeedPage struct {
	Events    []FeedEvent
	Next      int64           // go on after this number
	More      bool            // there is more after them
	Heartbeat FeedEvent       // everything until it was issued is in the feed
	Changed   <-chan struct{} // closed when there is another page or another heartbeat
}

// A FeedEvent is a Security Event Token (RFC 8417).
type FeedEvent struct {
	Number int64  // 0 for a heartbeat
	ID     string // `jti`
	Token  string
}

// feed is what one process knows of the feed.
type feed struct {
	wake chan struct{}

	signing sync.Mutex    // of items in memory; taken before mu
	older   chan struct{} // held by the one who reads and signs an older page

	mu        sync.Mutex
	items     []signedItem // the newest of the window, by number
	dropped   FeedItem     // the newest of the window that is no longer in memory; zero: none
	pages     []signedPage // of older items, the oldest page first
	state     FeedState
	heartbeat FeedEvent // none until all was read once
	issued    time.Time // of the heartbeat, measured
	changed   chan struct{}
}

type signedItem struct {
	FeedItem
	key   string // kid that signed
	event FeedEvent
}

// A signedPage is an answer to a reader who is behind.
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
	default: // it has been told
	}
}

// runFeed follows and numbers what ends, until ctx does.
func (e *Engine) runFeed(ctx context.Context) {
	poll := time.NewTicker(feedPoll)
	defer poll.Stop()
	failing := false
	for ctx.Err() == nil {
		more, err := e.readFeed(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			e.log.Error("the revocation feed can't be read or numbered: verifiers learn of nothing meanwhile", slog.Any("error", err))
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

// readFeed numbers what is new, takes in what has a number, and reports whether
// there may be more to do at once. What happened before it began is in the feed
// when it is through: that is what a heartbeat says.
func (e *Engine) readFeed(ctx context.Context) (more bool, err error) {
	now := e.now()
	more, err = e.numberFeed(ctx, now)
	if err != nil {
		return false, err
	}
	last := e.feed.known().Last
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
		e.log.Error("the revocation feed went back: was the store restored from a backup?")
		e.feed.reset()
		return true, nil
	}
	if len(items) == feedBatch {
		more, state.Last = true, items[feedBatch-1].Number
	}
	e.feed.add(items, state, now)
	if more {
		return true, nil
	}
	return false, e.beat(now, state)
}

// numberFeed numbers what has no number, and reports whether there may be more. A
// number is as large as the time in microseconds: a store that has lost its latest
// commits, by a failover or a backup, then gives no number again that readers know,
// and would pass over.
func (e *Engine) numberFeed(ctx context.Context, now time.Time) (more bool, err error) {
	var state FeedState
	err = e.store.View(ctx, func(tx Tx) (err error) {
		state, err = tx.FeedState(ctx)
		return err
	})
	if err != nil || state.Unnumbered.IsZero() {
		return false, err
	}
	e.feed.waits(state.Unnumbered)
	err = e.store.Update(ctx, func(tx Tx) error {
		n, err := tx.NumberFeed(ctx, now.UnixMicro(), feedBatch)
		more = n >= feedBatch
		return err
	})
	return more, err
}

// known is how far everything has been read.
func (f *feed) known() FeedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// waits notes since when the oldest item waits for its number.
func (f *feed) waits(since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Unnumbered = since
}

func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.dropped, f.pages, f.state, f.heartbeat = nil, FeedItem{}, nil, FeedState{}, FeedEvent{}
}

// add takes in items that were read. It drops those that are over, and from memory
// those that are too many.
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
		f.announce()
	}
}

// announce lets go those who wait for news.
func (f *feed) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// beat says that everything until now has been read. One is enough for a while.
func (e *Engine) beat(now time.Time, state FeedState) error {
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
	f.announce()
	return nil
}

// Revocations returns up to limit events of the feed after a number. A number
// that was never given is that of a store from before a backup was restored: the
// feed begins again, at its beginning. It is ErrUnavailable while not everything
// has been read, which takes Run a moment.
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

// page returns a page without its events, and the items that they are made from. Items
// that are no longer in memory are nil: then there is more, and it has to be read.
func (f *feed) page(after int64, limit int) (FeedPage, []signedItem, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heartbeat.ID == "" {
		return FeedPage{}, nil, fmt.Errorf("%w: the revocation feed is not read yet", ErrUnavailable)
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

// find returns the place of the first item with that number or a larger one.
func (f *feed) find(number int64) int {
	i, _ := slices.BinarySearchFunc(f.items, number, func(item signedItem, number int64) int {
		return cmp.Compare(item.Number, number)
	})
	return i
}

// signItems returns the events of items in memory, and keeps what it signs.
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

// refresh takes over what was signed meanwhile.
func (f *feed) refresh(items []signedItem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range items {
		if at := f.find(items[i].Number); at < len(f.items) && f.items[at].Number == items[i].Number {
			items[i] = f.items[at]
		}
	}
}

// keep stores what was signed.
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
		begun = time.Now() // no pause
		return events, nil
	}
	var items []FeedItem
	err := e.store.View(ctx, func(tx Tx) (err error) {
		items, err = tx.Feed(ctx, after, e.now().Add(-feedWindow), limit)
		return err
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

// kept returns a page of older items that was signed before.
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

// await waits a moment for what a reader knows and we do not: another process may
// be ahead of us.
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

// signItem signs an item with the key of the day.
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

// initiator is who ended a session, in the words of CAEP 1.0, section 2.
func initiator(why EndReason) string {
	switch why {
	case EndedLogout, EndedByUser, EndedLogoutAll, EndedPassword, EndedEmail, EndedFirstProof, EndedReplaced,
		EndedDeleted:
		return "user"
	case EndedOperator, EndedDisabled:
		return "admin"
	case EndedReuse, EndedTooMany:
		return "policy"
	}
	return "system"
}
