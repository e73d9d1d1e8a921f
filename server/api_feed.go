package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/clientip"
	"github.com/watchword-auth/watchword/internal/respond"
)

// The revocation feed, by polling and as a stream (docs/revocation.md). Both are
// documents for everybody, as the JWKS is: every event is signed, and names
// nothing that means something to a stranger.

const (
	feedPage   = 1000 // events in an answer to a poll
	streamPage = 100  // events in one write

	maxStreams     = 1000             // at once
	streamPatience = 10 * time.Second // for a reader to take one write
)

// feedAnswer is what RFC 8936, section 2.3, answers to a poll, and where to go on.
type feedAnswer struct {
	SETs          map[string]string `json:"sets" nullable:"false" doc:"Security Event Tokens (RFC 8417) by their jti"`
	MoreAvailable bool              `json:"moreAvailable" doc:"Ask again at once"`
	Next          int64             `json:"next" doc:"The after of the next question"`
}

func (s *Server) revocations(w http.ResponseWriter, r *http.Request) error {
	after, err := parseAfter(queryAfter(r))
	if err != nil {
		return err
	}
	page, err := s.engine.Revocations(r.Context(), after, feedPage)
	if err != nil {
		return err
	}
	answer := feedAnswer{SETs: map[string]string{}, MoreAvailable: page.More, Next: page.Next}
	tag := sha256.New()
	for _, event := range page.Events {
		answer.SETs[event.ID] = event.Token
		fmt.Fprintln(tag, event.Token)
	}
	if !page.More {
		answer.SETs[page.Heartbeat.ID] = page.Heartbeat.Token
		fmt.Fprintln(tag, page.Heartbeat.Token)
	}
	etag := `"` + hex.EncodeToString(tag.Sum(nil)[:8]) + `"`
	w.Header().Set("Cache-Control", "public, max-age=1")
	w.Header().Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// queryAfter returns the parameter after. A query that can't be read returns a text
// that parseAfter refuses: a reader must not start over at 0 unnoticed.
func queryAfter(r *http.Request) string {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "malformed"
	}
	return values.Get("after")
}

// parseAfter reads the number of an event; none is 0.
func parseAfter(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, unacceptable("after", watchword.FieldInvalid, "Write the number of an event, or nothing.")
	}
	return after, nil
}

// revocationStream sends events as they happen, as server-sent events (HTML,
// section 9.2). It ends when the reader leaves, or is too slow, or the server
// stops; the reader comes back with the last number that it has seen.
func (s *Server) revocationStream(w http.ResponseWriter, r *http.Request) error {
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = queryAfter(r)
	}
	after, err := parseAfter(from)
	if err != nil {
		return err
	}
	var one *openStream
	if r.Method != http.MethodHead {
		if one = s.streams.enter(networkOf(s.clientOf(w, r).Address)); one == nil {
			return &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: 5 * time.Second,
				Detail: "There are too many streams here. Poll instead, or try again."}
		}
		defer s.streams.leave(one)
	}
	page, err := s.engine.Revocations(r.Context(), after, streamPage)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy is not to collect what is urgent
	if one != nil {
		s.stream(w, r, one, page)
	}
	return nil
}

// stream writes page after page until something ends it. The deadlines of the
// server are for requests that end by themselves.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, one *openStream, page watchword.FeedPage) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{})
	for said := ""; !one.isReplaced(); {
		text := eventsOf(page, said)
		_ = conn.SetWriteDeadline(time.Now().Add(streamPatience))
		if _, err := w.Write([]byte(text)); err != nil || conn.Flush() != nil {
			return
		}
		if !page.More {
			said = page.Heartbeat.ID
			if !s.streams.wait(r, one, page.Changed) {
				return
			}
		}
		var err error
		if page, err = s.engine.Revocations(r.Context(), page.Next, streamPage); err != nil {
			return
		}
	}
}

// eventsOf writes a page down, with its heartbeat if that was not said before.
func eventsOf(page watchword.FeedPage, said string) string {
	var text strings.Builder
	for _, event := range page.Events {
		fmt.Fprintf(&text, "id: %d\nevent: set\ndata: %s\n\n", event.Number, event.Token)
	}
	if !page.More && page.Heartbeat.ID != said {
		fmt.Fprintf(&text, "event: heartbeat\ndata: %s\n\n", page.Heartbeat.Token)
	}
	return text.String()
}

// streams are those that are open. While there is room, a client network may have any
// number of them. When all are taken, a network that has fewer than the one with the most
// takes one over from it, so that each gets its share however many it competes with.
type streams struct {
	mu    sync.Mutex
	open  int
	of    map[string][]*openStream // by client network, the oldest first
	ended chan struct{}
}

// An openStream is one reader of the feed.
type openStream struct {
	network string
	ended   chan struct{} // closed when another network takes its place
}

func (one *openStream) isReplaced() bool {
	select {
	case <-one.ended:
		return true
	default:
		return false
	}
}

func newStreams() *streams {
	return &streams{of: map[string][]*openStream{}, ended: make(chan struct{})}
}

// networkOf names the network of a client for its share of the streams: an IPv4 address
// or an IPv6 /48, which is what one site gets.
func networkOf(addr netip.Addr) string {
	if addr.Is6() && !addr.Is4In6() {
		if prefix, err := addr.WithZone("").Prefix(48); err == nil {
			return prefix.String()
		}
	}
	return clientip.Key(addr)
}

// enter returns nil if there are too many streams, or the server stops.
func (s *streams) enter(network string) *openStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	default:
	}
	if s.open >= maxStreams {
		most := s.largest()
		if len(s.of[network])+1 >= len(s.of[most]) {
			return nil
		}
		oldest := s.of[most][0]
		s.remove(oldest)
		close(oldest.ended)
	}
	one := &openStream{network, make(chan struct{})}
	s.open++
	s.of[network] = append(s.of[network], one)
	return one
}

// largest returns the network with the most streams.
func (s *streams) largest() (most string) {
	for network, open := range s.of {
		if len(open) > len(s.of[most]) {
			most = network
		}
	}
	return most
}

func (s *streams) leave(one *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(one)
}

// remove does nothing for a stream that another network replaced.
func (s *streams) remove(one *openStream) {
	open := s.of[one.network]
	i := slices.Index(open, one)
	if i < 0 {
		return
	}
	s.open--
	s.of[one.network] = slices.Delete(open, i, i+1)
	if len(open) == 1 {
		delete(s.of, one.network)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// wait reports true when there is more to say.
func (s *streams) wait(r *http.Request, one *openStream, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-r.Context().Done():
	case <-one.ended:
	case <-s.ended:
	}
	return false
}

// EndStreams ends the streams of the revocation feed, which would go on for ever:
// give it to http.Server.RegisterOnShutdown. Their readers go to another server.
func (s *Server) EndStreams() {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	select {
	case <-s.streams.ended:
	default:
		close(s.streams.ended)
	}
}
