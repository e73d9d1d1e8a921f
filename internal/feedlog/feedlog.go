// Package feedlog caches the revocation feed in one process: the newest items, each signed once, and some pages of
// older items.
package feedlog

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	maxItemsInMemory = 20_000 // with their tokens, they use about 20 MB
	maxPagesInMemory = 8      // pages of older items, for readers that start at the same time
)

// An Item is one change in the feed. At is the time of the change.
type Item[I comparable, E any] struct {
	Number int64
	At     time.Time
	Value  I

	signedBy string // kid; empty: not signed yet
	event    E
}

// A Progress says how far this process has read the feed.
type Progress struct {
	Last       int64     // highest Item.Number that was read
	Unnumbered time.Time // time of the oldest item that has no number yet; zero: no such item
}

// A Log holds the items of the feed. I is the type of an item's value, and E is the type of its signed event. A Log
// is safe for concurrent use.
type Log[I comparable, E any] struct {
	retention time.Duration

	signingMu     sync.Mutex    // for items in memory; locked before mu
	olderPageSlot chan struct{} // semaphore: one reader at a time reads and signs an older page

	mu            sync.Mutex
	items         []Item[I, E]   // by number
	newestDropped Item[I, E]     // zero if all items of the window are in memory
	olderPages    []olderPage[E] // in the order in which they were stored
	progress      Progress
	heartbeat     E
	heartbeatAt   time.Time // monotonic; zero: the feed was never read completely
	changed       chan struct{}
}

// An olderPage holds signed events of items that are no longer in memory.
type olderPage[E any] struct {
	after    int64
	limit    int
	signedBy string // kid
	events   []E
}

// New returns an empty log of items that stay for window.
func New[I comparable, E any](window time.Duration) *Log[I, E] {
	return &Log[I, E]{retention: window, olderPageSlot: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Progress returns how far this process has read the feed.
func (l *Log[I, E]) Progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// SetUnnumbered sets Progress.Unnumbered.
func (l *Log[I, E]) SetUnnumbered(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Unnumbered = since
}

// Reset empties the log, so that the feed is read again from its beginning.
func (l *Log[I, E]) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items, l.newestDropped, l.olderPages, l.progress, l.heartbeatAt = nil, Item[I, E]{}, nil, Progress{}, time.Time{}
}

// Add appends items that were read from the store, and sets the progress. It drops items older than the window. If
// there are more than maxItemsInMemory, it also drops the oldest ones.
func (l *Log[I, E]) Add(items []Item[I, E], p Progress, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress = p
	l.items = append(l.items, items...)
	over := 0
	for over < len(l.items) && now.Sub(l.items[over].At) > l.retention {
		over++
	}
	if many := len(l.items) - maxItemsInMemory; many > over {
		over, l.newestDropped = many, l.items[many-1]
	}
	l.items = slices.Delete(l.items, 0, over)
	if l.newestDropped.Number > 0 && now.Sub(l.newestDropped.At) > l.retention {
		l.newestDropped, l.olderPages = Item[I, E]{}, nil
	}
	if len(items) > 0 {
		l.wakeReaders()
	}
}

// wakeReaders wakes the readers that wait on changed. The caller holds mu.
func (l *Log[I, E]) wakeReaders() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// SetHeartbeat calls issueHeartbeat and stores the result as the new heartbeat. If the current heartbeat is younger
// than minAge, SetHeartbeat keeps it and does not call issueHeartbeat.
func (l *Log[I, E]) SetHeartbeat(minAge time.Duration, issueHeartbeat func() (E, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.heartbeatAt.IsZero() && time.Since(l.heartbeatAt) < minAge {
		return nil
	}
	heartbeat, err := issueHeartbeat()
	if err != nil {
		return err
	}
	l.heartbeat, l.heartbeatAt = heartbeat, time.Now()
	l.wakeReaders()
	return nil
}

// Wait returns when this process has read the item with the given number, after the timeout, or when ctx ends. A
// reader can know the number of an unread item from another process, which has already read the item.
func (l *Log[I, E]) Wait(ctx context.Context, number int64, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		l.mu.Lock()
		ready, changed := !l.heartbeatAt.IsZero() && number <= l.progress.Last, l.changed
		l.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// A Page contains the items after a number.
type Page[I comparable, E any] struct {
	After     int64        // the requested number, or 0 if it is larger than any number in the feed
	Items     []Item[I, E] // argument for Events
	Older     bool         // the next items are no longer in memory: call the method Older
	More      bool         // there are items after these
	Heartbeat E
	Changed   <-chan struct{} // closed when there is a new item or a new heartbeat
}

// Page returns up to limit items after a number. It returns false until this process has read the whole feed for the
// first time.
func (l *Log[I, E]) Page(after int64, limit int) (Page[I, E], bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after > l.progress.Last {
		after = 0
	}
	p := Page[I, E]{After: after, Heartbeat: l.heartbeat, Changed: l.changed}
	if after < l.newestDropped.Number {
		p.Older, p.More = true, true
		return p, !l.heartbeatAt.IsZero()
	}
	first := l.indexFrom(after + 1)
	end := min(first+limit, len(l.items))
	p.Items, p.More = slices.Clone(l.items[first:end]), end < len(l.items)
	return p, !l.heartbeatAt.IsZero()
}

// LastDropped returns the largest number that is no longer in memory, or 0.
func (l *Log[I, E]) LastDropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newestDropped.Number
}

// indexFrom returns the index of the first item with that number or a larger one.
func (l *Log[I, E]) indexFrom(number int64) int {
	i, _ := slices.BinarySearchFunc(l.items, number, func(item Item[I, E], number int64) int {
		return cmp.Compare(item.Number, number)
	})
	return i
}

// Events returns the events of items that Page has returned, signed with key. Each item is signed once for each key.
func (l *Log[I, E]) Events(items []Item[I, E], key string, sign func(I) (E, error)) ([]E, error) {
	if slices.ContainsFunc(items, func(item Item[I, E]) bool { return item.signedBy != key }) {
		l.signingMu.Lock()
		defer l.signingMu.Unlock()
		l.copySignedEvents(items) // another reader may have signed them
		for i := range items {
			if items[i].signedBy == key {
				continue
			}
			event, err := sign(items[i].Value)
			if err != nil {
				return nil, err
			}
			items[i].signedBy, items[i].event = key, event
		}
		l.storeSigned(items)
	}
	var events []E
	for _, item := range items {
		events = append(events, item.event)
	}
	return events, nil
}

// copySignedEvents copies into items the events that other readers have signed.
func (l *Log[I, E]) copySignedEvents(items []Item[I, E]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range items {
		if at := l.indexFrom(items[i].Number); at < len(l.items) && l.items[at].Number == items[i].Number {
			items[i] = l.items[at]
		}
	}
}

// storeSigned stores the signed items in the log. It skips items that were dropped, and items that were replaced
// after a Reset.
func (l *Log[I, E]) storeSigned(items []Item[I, E]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range items {
		if at := l.indexFrom(items[i].Number); at < len(l.items) && l.items[at].Value == items[i].Value {
			l.items[at] = items[i]
		}
	}
}

// Older returns the events of a page whose items are no longer in memory. One reader at a time reads and signs such a
// page. The next reader must then wait for as long as the reading and signing took. Therefore old pages use at most
// half a processor core.
func (l *Log[I, E]) Older(
	ctx context.Context, after int64, limit int, key string, read func() ([]E, error),
) ([]E, error) {
	if events, found := l.findOlderPage(after, limit, key); found {
		return events, nil
	}
	select {
	case l.olderPageSlot <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	startedAt := time.Now()
	defer func() { time.AfterFunc(time.Since(startedAt), func() { <-l.olderPageSlot }) }()
	if events, found := l.findOlderPage(after, limit, key); found {
		startedAt = time.Now() // a page from memory needs no pause
		return events, nil
	}
	events, err := read()
	if err == nil && len(events) > 0 {
		l.keepPage(olderPage[E]{after, limit, key, events})
	}
	return events, err
}

func (l *Log[I, E]) keepPage(p olderPage[E]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.olderPages) == maxPagesInMemory {
		l.olderPages = slices.Delete(l.olderPages, 0, 1)
	}
	l.olderPages = append(l.olderPages, p)
}

func (l *Log[I, E]) findOlderPage(after int64, limit int, key string) ([]E, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.olderPages {
		if p.after == after && p.limit == limit && p.signedBy == key {
			return p.events, true
		}
	}
	return nil, false
}

// Memory returns the number of items in the log, and passes each event in memory to visitEvent. Dropped events could
// remain in the spare capacity of the list of items, so Memory also passes the events there.
func (l *Log[I, E]) Memory(visitEvent func(E)) (items int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range l.items[:cap(l.items)] {
		visitEvent(item.event)
	}
	for _, p := range l.olderPages {
		for _, event := range p.events {
			visitEvent(event)
		}
	}
	return len(l.items)
}
