package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/storetest"
)

// createAndEndSessions ends all sessions in one transaction.
func (s *service) createAndEndSessions(t *testing.T, sessions int) {
	t.Helper()
	u := storetest.User(1)
	must(t, s.store.Update(t.Context(), func(tx watchword.Tx) error {
		for n := range sessions {
			if err := tx.InsertSession(t.Context(), storetest.Session(u.ID, n)); err != nil {
				return err
			}
		}
		_, err := tx.EndSessions(t.Context(), u.ID, "", watchword.EndedLogoutAll, time.Now())
		return err
	}))
}

func (s *service) awaitFeedEvents(t *testing.T, b *browser, after int64, events int) fullResponse {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		a := b.do("GET", fmt.Sprint("/revocations?after=", after), "")
		if sets, _ := a.body["sets"].(map[string]any); a.StatusCode == 200 && len(sets) == events+1 {
			return a
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d %s", a.StatusCode, a.raw)
		}
	}
}

func (a fullResponse) nextPosition() int64 { return int64(a.body["next"].(float64)) }

type feedStream struct {
	*bufio.Scanner
	response *http.Response
}

func (b *browser) openStream(path string, headers ...string) *feedStream {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", b.url+path, nil)
	must(b.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := b.Do(r)
	must(b.t, err)
	b.t.Cleanup(func() { answer.Body.Close() }) //nolint:errcheck // the test ends the connection
	return &feedStream{bufio.NewScanner(answer.Body), answer}
}

// nextEvent reads until the empty line that ends an event. The event of a closed stream is empty.
func (l *feedStream) nextEvent() (event map[string]string) {
	event = map[string]string{}
	for l.Scan() && l.Text() != "" {
		name, value, _ := strings.Cut(l.Text(), ": ")
		event[name] = value
	}
	return event
}

// awaitLastFeedNumber waits until each ended session has a number in the feed, and returns the highest number.
func (s *service) awaitLastFeedNumber(t *testing.T) int64 {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stats, err := s.engine.Stats(t.Context())
		must(t, err)
		if stats.Feed.Last > 0 && stats.Feed.Unnumbered.IsZero() {
			return stats.Feed.Last
		}
	}
	t.Fatal("not all is numbered")
	return 0
}

func TestFeedCanBePolled(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	wantStatus(t, b.do("GET", "/revocations?after=x", ""), 422, watchword.CodeValidationFailed)
	wantStatus(t, b.do("GET", "/revocations?after=-1", ""), 422, watchword.CodeValidationFailed)
	empty := s.awaitFeedEvents(t, b, 0, 0)
	if empty.body["next"] != 0.0 || empty.body["moreAvailable"] != false {
		t.Errorf("an empty feed: %s", empty.raw)
	}
	s.createAndEndSessions(t, 3)
	all := s.awaitFeedEvents(t, b, 0, 3)
	last := all.nextPosition()
	if all.Header.Get("Cache-Control") != "public, max-age=1" || len(all.Header["Set-Cookie"]) != 0 {
		t.Errorf("%s %v", all.raw, all.Header)
	}
	s.awaitFeedEvents(t, b, last-1, 1)
	s.awaitFeedEvents(t, b, last+77, 3) // a position beyond the end, as after the restore of a backup

	for range 10 { // polls again if a heartbeat has changed the ETag
		path := fmt.Sprint("/revocations?after=", last)
		tag := b.do("GET", path, "").Header.Get("ETag")
		a := b.do("GET", path, "", "If-None-Match", tag)
		if a.StatusCode == http.StatusNotModified && len(a.raw) == 0 && a.Header.Get("ETag") == tag {
			return
		}
	}
	t.Error("the same answer is sent again and again")
}

func TestFeedReturnsManyEventsInPages(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	s.createAndEndSessions(t, 2500)
	last := s.awaitLastFeedNumber(t)
	seen, next := map[string]bool{}, int64(0)
	for pages := 1; ; pages++ {
		a := b.do("GET", fmt.Sprint("/revocations?after=", next), "")
		wantStatus(t, a, 200, "")
		for id := range a.body["sets"].(map[string]any) {
			seen[id] = true
		}
		next = a.nextPosition()
		if a.body["moreAvailable"] == false {
			if pages != 3 || next != last || len(seen) != 2501 {
				t.Errorf("%d pages to %v, %d events", pages, next, len(seen))
			}
			return
		}
	}
}

func TestStreamSendsEventsAndResumes(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	s.createAndEndSessions(t, 3)
	last := s.awaitFeedEvents(t, b, 0, 3).nextPosition()
	stream := b.openStream("/revocations/stream")
	if h := stream.response.Header; h.Get("Content-Type") != "text/event-stream" ||
		h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v", stream.response.StatusCode, h)
	}
	for number := last - 2; number <= last; number++ {
		if e := stream.nextEvent(); e["id"] != fmt.Sprint(number) || e["event"] != "set" ||
			strings.Count(e["data"], ".") != 2 {
			t.Errorf("event %d: %v", number, e)
		}
	}
	// Without events, the server sends a heartbeat from time to time.
	first, second := stream.nextEvent(), stream.nextEvent()
	if first["event"] != "heartbeat" || second["event"] != "heartbeat" || first["data"] == second["data"] ||
		first["id"] != "" {
		t.Errorf("heartbeats: %v, %v", first, second)
	}
	in := b.register("ada@example.com")
	wantStatus(t, b.post("/logout-all", map[string]any{}, authorized(in)...), 200, "")
	fourth := stream.nextEvent()
	for fourth["event"] == "heartbeat" {
		fourth = stream.nextEvent()
	}
	if number, err := strconv.ParseInt(fourth["id"], 10, 64); err != nil || number <= last {
		t.Errorf("after %d: %v", last, fourth)
	}
	third := fmt.Sprint(last)
	for _, again := range []*feedStream{b.openStream("/revocations/stream", "Last-Event-ID", third),
		b.openStream("/revocations/stream?after=" + third)} {
		if e := again.nextEvent(); e["id"] != fourth["id"] {
			t.Errorf("after the third: %v", e)
		}
	}
	wantStatus(t, b.do("GET", "/revocations/stream", "", "Last-Event-ID", "x"), 422, watchword.CodeValidationFailed)

	s.server.EndStreams()
	for stream.Scan() {
	}
	if err := stream.Err(); err != nil {
		t.Errorf("a stream of a server that stops ends with %v", err)
	}
	if a := b.do("GET", "/revocations/stream", ""); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("a new one: %d", a.StatusCode)
	}
}

// A client that does not read its stream must be disconnected, and must not delay other readers.
//
// RL-8
func TestSlowReaderOfTheStreamIsDisconnected(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it takes many seconds")
	}
	s := start(t, nil, nil)
	b := s.newBrowser(t)
	admin := httptest.NewServer(s.server.Admin(server.AdminOptions{}))
	t.Cleanup(admin.Close)
	streams := func() string {
		_, metrics := get(t, admin.URL+"/metrics")
		_, after, _ := strings.Cut(metrics, "\nwatchword_feed_streams ")
		number, _, _ := strings.Cut(after, "\n")
		return number
	}
	s.awaitFeedEvents(t, b, 0, 0)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	must(t, err)
	defer conn.Close() //nolint:errcheck // the server has ended the connection
	must(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(conn,
		"GET /revocations/stream HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.url, "http://")+"\r\n\r\n")
	must(t, err)
	waitForOne := func() {
		for end := time.Now().Add(time.Minute); streams() != "1"; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s streams are open, want 1", streams())
			}
		}
	}
	waitForOne()
	many := 10_000
	if storetest.RaceDetector() {
		many /= 2 // half as many events still exceed the buffers of a connection
	}
	s.createAndEndSessions(t, many)
	stream, began := b.openStream("/revocations/stream"), time.Now()
	for n := 0; n < many; {
		if stream.nextEvent()["event"] == "set" {
			n++
		}
	}
	t.Logf("%d at once reach a reader within %s", many, time.Since(began).Round(time.Millisecond))
	waitForOne() // only the stream of the normal reader remains
}

// RL-8, MEM-1
func TestEachNetworkGetsItsShareOfTheStreams(t *testing.T) {
	t.Parallel()
	streams := server.NewStreams()
	replacedByAddress := map[string][]func() bool{} // whether each stream was replaced
	open := func(address string) bool {
		_, replaced, ok := streams.Enter(netip.MustParseAddr(address))
		if ok {
			replacedByAddress[address] = append(replacedByAddress[address], replaced)
		}
		return ok
	}
	live := func(address string) (n int) {
		for _, replaced := range replacedByAddress[address] {
			if !replaced() {
				n++
			}
		}
		return n
	}
	for round := range 2000 { // four attackers, who never close a stream
		open(fmt.Sprintf("192.0.2.%d", round%4))
	}
	if streams.Count() != 1000 {
		t.Fatalf("%d streams are open, want 1000", streams.Count())
	}
	owner := "198.51.100.7"
	for range 50 {
		if !open(owner) {
			t.Fatalf("a fifth network has %d streams, and gets no more", live(owner))
		}
	}
	for range 200 { // many IPv6 networks of one site, which count as one network
		for host := range 5 {
			open(fmt.Sprintf("2001:db8:1:%x::1", host))
		}
	}
	ipv6 := 0
	for host := range 5 {
		ipv6 += live(fmt.Sprintf("2001:db8:1:%x::1", host))
	}
	if streams.Count() != 1000 || live(owner) != 50 || ipv6 < 180 || ipv6 > 200 {
		t.Errorf("%d streams: the owner has %d of 50, a site of IPv6 %d of its fifth", streams.Count(), live(owner),
			ipv6)
	}
	for n := range 4 {
		if got := live(fmt.Sprintf("192.0.2.%d", n)); got < 180 || got > 250 {
			t.Errorf("attacker %d has %d streams", n, got)
		}
	}
}

func TestReplacedStreamIsCountedOnce(t *testing.T) {
	t.Parallel()
	streams := server.NewStreams()
	first, replaced, _ := streams.Enter(netip.MustParseAddr("192.0.2.1"))
	for streams.Count() < 1000 {
		streams.Enter(netip.MustParseAddr("192.0.2.1"))
	}
	last, _, ok := streams.Enter(netip.MustParseAddr("192.0.2.2"))
	if !ok || !replaced() || streams.Count() != 1000 {
		t.Fatalf("replaced %t, another network entered %t", replaced(), ok)
	}
	first()
	if streams.Count() != 1000 {
		t.Error("a stream that was replaced counted twice")
	}
	last()
	last()
	if streams.Count() != 999 {
		t.Errorf("%d streams are open", streams.Count())
	}
}

// RL-8
func TestReplacedStreamEnds(t *testing.T) {
	t.Parallel()
	s := start(t, nil, nil)
	stream := s.newBrowser(t).openStream("/revocations/stream")
	if stream.nextEvent()["event"] != "heartbeat" {
		t.Fatal("the stream does not begin with a heartbeat")
	}
	all := s.server.OpenStreams()
	for all.Count() < 1000 {
		all.Enter(netip.MustParseAddr("127.0.0.1"))
	}
	if _, _, ok := all.Enter(netip.MustParseAddr("192.0.2.1")); !ok {
		t.Fatal("another network gets no stream")
	}
	for len(stream.nextEvent()) > 0 { // reads until the server ends the stream
	}
	if all.Count() != 1000 {
		t.Errorf("%d streams are open", all.Count())
	}
}
