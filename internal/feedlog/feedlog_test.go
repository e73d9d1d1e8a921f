package feedlog_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/feedlog"
)

type (
	feed = feedlog.Log[int64, string]
	item = feedlog.Item[int64, string]
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

const window = time.Hour

// itemsNumbered returns items that are one second apart. The value of an item is its number.
func itemsNumbered(first, last int64) (all []item) {
	for n := first; n <= last; n++ {
		all = append(all, item{Number: n, At: start.Add(time.Duration(n) * time.Second), Value: n})
	}
	return all
}

// newLogWithHeartbeat returns a log as it is after the first complete read of the feed.
func newLogWithHeartbeat(t *testing.T) *feed {
	t.Helper()
	l := feedlog.New[int64, string](window)
	if _, ready := l.Page(0, 10); ready {
		t.Error("a log without a heartbeat is ready")
	}
	if err := l.SetHeartbeat(time.Minute, func() (string, error) { return "beat", nil }); err != nil {
		t.Fatal(err)
	}
	return l
}

func numbers(items []item) (all []int64) {
	for _, one := range items {
		all = append(all, one.Number)
	}
	return all
}

func TestPageReturnsWhatFollowsANumber(t *testing.T) {
	t.Parallel()
	l := newLogWithHeartbeat(t)
	l.Add(itemsNumbered(3, 9), feedlog.Progress{Last: 9}, start)
	for _, c := range []struct {
		after     int64
		limit     int
		want      []int64
		more      bool
		wantAfter int64
	}{
		{0, 3, []int64{3, 4, 5}, true, 0},
		{5, 2, []int64{6, 7}, true, 5},
		{7, 2, []int64{8, 9}, false, 7},
		{7, 10, []int64{8, 9}, false, 7},
		{9, 10, nil, false, 9},
		{10, 2, []int64{3, 4}, true, 0}, // 10 is larger than every number, so the page starts at the beginning
	} {
		p, ready := l.Page(c.after, c.limit)
		if !ready || p.After != c.wantAfter || p.More != c.more || p.Older || p.Heartbeat != "beat" ||
			!slices.Equal(numbers(p.Items), c.want) {
			t.Errorf("after %d, at most %d: %v and %+v", c.after, c.limit, ready, p)
		}
	}
	l.Reset()
	if p, ready := l.Page(5, 10); ready || len(p.Items) != 0 {
		t.Errorf("after a reset: %v and %+v", ready, p)
	}
}

// A reader asks for the items after the last item that it has read. It must see each item once and in order, no matter
// how many items each call of Add adds.
func TestReadersSeeEachItemOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 8))
		l, last, read := newLogWithHeartbeat(t), int64(0), []int64{}
		at := int64(0)
		for range 60 {
			if random.IntN(2) == 0 {
				next := last + int64(random.IntN(40))
				at := start.Add(time.Duration(next) * time.Second)
				l.Add(itemsNumbered(last+1, next), feedlog.Progress{Last: next}, at)
				last = next
				continue
			}
			p, _ := l.Page(at, 1+random.IntN(20))
			if p.Older || p.After != at {
				t.Fatalf("seed %d: after %d: %+v", seed, at, p)
			}
			read = append(read, numbers(p.Items)...)
			if len(p.Items) > 0 {
				at = p.Items[len(p.Items)-1].Number
			}
			if p.More != (at < last) {
				t.Fatalf("seed %d: at %d of %d, more: %v", seed, at, last, p.More)
			}
		}
		for i, n := range read {
			if n != int64(i)+1 {
				t.Fatalf("seed %d: read %v", seed, read)
			}
		}
	}
}

func TestItemsLeaveAfterTheWindowAndAboveTheBound(t *testing.T) {
	t.Parallel()
	l := newLogWithHeartbeat(t)
	l.Add(itemsNumbered(1, 10), feedlog.Progress{Last: 10}, start)
	l.Add(nil, feedlog.Progress{Last: 10}, start.Add(window+4*time.Second+time.Millisecond))
	if p, _ := l.Page(0, 100); !slices.Equal(numbers(p.Items), []int64{5, 6, 7, 8, 9, 10}) || l.LastDropped() != 0 {
		t.Errorf("after the window: %v, dropped %d", numbers(p.Items), l.LastDropped())
	}

	const bound, over = 20_000, 7
	many := itemsNumbered(11, bound+10+over)
	for i := range many {
		many[i].At = start.Add(window)
	}
	l.Add(many, feedlog.Progress{Last: bound + 10 + over}, start.Add(window+time.Hour/2))
	if got := l.Memory(func(string) {}); got != bound {
		t.Errorf("%d items in memory", got)
	}
	if p, ready := l.Page(0, 5); !ready || !p.Older || !p.More || l.LastDropped() != 10+over {
		t.Errorf("dropped %d, %+v", l.LastDropped(), p)
	}
	if p, _ := l.Page(10+over, 1); p.Older || !slices.Equal(numbers(p.Items), []int64{11 + over}) {
		t.Errorf("the oldest in memory: %+v", p)
	}
	l.Add(nil, feedlog.Progress{Last: bound}, start.Add(2*window+time.Second)) // all items have left the feed
	if l.LastDropped() != 0 {
		t.Errorf("dropped %d", l.LastDropped())
	}
}

// Concurrent readers must share one signature of each event. With a new key, each event must be signed again.
func TestEventsAreSignedOnceForEachKey(t *testing.T) {
	t.Parallel()
	l := newLogWithHeartbeat(t)
	l.Add(itemsNumbered(1, 50), feedlog.Progress{Last: 50}, start)
	var mu sync.Mutex
	signed := map[string]int{}
	early, _ := l.Page(0, 50) // a page that was read before the first signature
	read := func(p feedlog.Page[int64, string], key string) error {
		events, err := l.Events(p.Items, key, func(n int64) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			text := key + strconv.FormatInt(n, 10)
			signed[text]++
			return text, nil
		})
		if err == nil && (len(events) != 50 || events[0] != key+"1" || events[49] != key+"50") {
			err = errors.New("wrong events")
		}
		return err
	}
	for _, key := range []string{"a", "b"} {
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				p, _ := l.Page(0, 50)
				if err := read(p, key); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if err := read(early, key); err != nil {
			t.Error(err)
		}
	}
	for text, times := range signed {
		if times != 1 {
			t.Errorf("%s was signed %d times", text, times)
		}
	}
	if len(signed) != 100 {
		t.Errorf("%d signatures", len(signed))
	}
	failed := errors.New("no key")
	p, _ := l.Page(0, 2)
	if _, err := l.Events(p.Items, "c", func(int64) (string, error) { return "", failed }); !errors.Is(err, failed) {
		t.Errorf("a signer that fails: %v", err)
	}
}

func TestOlderPagesAreReadOnce(t *testing.T) {
	t.Parallel()
	l, reads := newLogWithHeartbeat(t), 0
	read := func() ([]string, error) { reads++; return []string{"one"}, nil }
	for range 3 {
		if events, err := l.Older(t.Context(), 4, 10, "a", read); err != nil || !slices.Equal(events, []string{"one"}) {
			t.Fatal(events, err)
		}
	}
	if reads != 1 {
		t.Errorf("%d reads of one page", reads)
	}
	if _, err := l.Older(t.Context(), 4, 10, "b", read); err != nil || reads != 2 {
		t.Errorf("%d reads after a new key, %v", reads, err)
	}
}

// If a reader already knows an item that this process has not read, Wait must return when the process has read it.
func TestWaitEndsWithTheItem(t *testing.T) {
	t.Parallel()
	l := newLogWithHeartbeat(t)
	done := make(chan struct{})
	go func() { defer close(done); l.Wait(t.Context(), 5, time.Minute) }()
	before, _ := l.Page(0, 1)
	l.Add(itemsNumbered(1, 5), feedlog.Progress{Last: 5}, start)
	select {
	case <-before.Changed:
	default:
		t.Error("a new item does not wake the readers")
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("the reader still waits")
	}
	l.Wait(t.Context(), 99, time.Millisecond) // must return after a millisecond
}
