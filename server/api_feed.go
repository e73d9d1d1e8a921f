package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
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
	clientStreams  = maxStreams / 4   // of one client: nobody takes them all
	streamPatience = 10 * time.Second // for a reader to take one write
)

// feedAnswer is what RFC 8936, section 2.3, answers to a poll, and where to go on.
type feedAnswer struct {
	SETs          map[string]string `json:"sets" nullable:"false" doc:"Security Event Tokens (RFC 8417) by their jti"`
	MoreAvailable bool              `json:"moreAvailable" doc:"Ask again at once"`
	Next          int64             `json:"next" doc:"The after of the next question"`
}

func (s *Server) revocations(w http.ResponseWriter, r *http.Request) error {
	after, err := parseAfter(r.URL.Query().Get("after"))
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
		from = r.URL.Query().Get("after")
	}
	after, err := parseAfter(from)
	if err != nil {
		return err
	}
	if r.Method != http.MethodHead {
		client := clientip.Key(s.clientOf(w, r).Address)
		if !s.streams.enter(client) {
			return &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: 5 * time.Second,
				Detail: "There are too many streams here. Poll instead, or try again."}
		}
		defer s.streams.leave(client)
	}
	page, err := s.engine.Revocations(r.Context(), after, streamPage)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy is not to collect what is urgent
	if r.Method != http.MethodHead {
		s.stream(w, r, page)
	}
	return nil
}

// stream writes page after page until something ends it. The deadlines of the
// server are for requests that end by themselves.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, page watchword.FeedPage) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{})
	for said := ""; ; {
		text := eventsOf(page, said)
		_ = conn.SetWriteDeadline(time.Now().Add(streamPatience))
		if _, err := w.Write([]byte(text)); err != nil || conn.Flush() != nil {
			return
		}
		if !page.More {
			said = page.Heartbeat.ID
			if !s.streams.wait(r, page.Changed) {
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

// streams counts those that are open, and ends them.
type streams struct {
	mu    sync.Mutex
	open  int
	of    map[string]int // by client
	ended chan struct{}
}

func newStreams() *streams { return &streams{of: map[string]int{}, ended: make(chan struct{})} }

// enter reports false if there are too many, or the server stops.
func (s *streams) enter(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return false
	default:
	}
	if s.open == maxStreams || s.of[client] == clientStreams {
		return false
	}
	s.open++
	s.of[client]++
	return true
}

func (s *streams) leave(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.of[client]--; s.of[client] == 0 {
		delete(s.of, client)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// wait reports true when there is more to say.
func (s *streams) wait(r *http.Request, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-r.Context().Done():
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
