package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/respond"
)

// The revocation feed can be polled or streamed (docs/revocation.md). It is public, like the
// JWKS: events are signed and contain only random ids.

const (
	maxPolledEvents   = 1000
	maxStreamedEvents = 100

	// streamWriteTimeout ends the stream of a reader that takes longer to receive one write.
	streamWriteTimeout = 10 * time.Second
)

// feedAnswer is the response to a poll: events in the format of RFC 8936, section 2.3,
// and the position for the next poll.
type feedAnswer struct {
	SETs          map[string]string `json:"sets" nullable:"false" doc:"Security Event Tokens (RFC 8417) by their jti"`
	MoreAvailable bool              `json:"moreAvailable" doc:"More events are available: poll again at once"`
	Next          int64             `json:"next" doc:"Number for ?after= in the next poll"`
}

// pollRevocations responds with an ETag that covers the events, so that a poll without new events gets a 304. Caches
// may keep the response for one second, which bounds the load of many readers.
func (a *api) pollRevocations(w http.ResponseWriter, r *http.Request) error {
	after, err := parseEventNumber(afterParameter(r))
	if err != nil {
		return err
	}
	page, err := a.engine.Revocations(r.Context(), after, maxPolledEvents)
	if err != nil {
		return err
	}
	answer := feedAnswer{SETs: map[string]string{}, MoreAvailable: page.More, Next: page.Next}
	tag := sha256.New()
	for _, event := range page.Events {
		answer.SETs[event.ID] = event.Token
		fmt.Fprintln(tag, event.Token)
	}
	// A heartbeat means that the list is complete up to the time of the heartbeat, so it is omitted if there are more
	// events. A reader without a recent heartbeat treats its state as stale.
	if !page.More {
		answer.SETs[page.Heartbeat.ID] = page.Heartbeat.Token
		fmt.Fprintln(tag, page.Heartbeat.Token)
	}
	etag := `"` + hex.EncodeToString(tag.Sum(nil)[:8]) + `"`
	// A 304 response has the same headers, because it updates the stored response (RFC 9111, section 4.3.4).
	w.Header().Set("Cache-Control", "public, max-age=1")
	w.Header().Set("ETag", etag)
	if matchesETag(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// afterParameter returns text that parseEventNumber rejects if the query is malformed. Otherwise a reader would
// silently restart at 0 and get every event again.
func afterParameter(r *http.Request) string {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "malformed"
	}
	return values.Get("after")
}

// parseEventNumber returns 0 for an empty text. A reader that starts at 0 gets every event that can still affect a
// valid access token.
func parseEventNumber(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, invalidField("after", watchword.FieldInvalid, "Send the number of an event, or omit the parameter.")
	}
	return after, nil
}

// streamRevocations sends events as they happen, as server-sent events (HTML, section 9.2). It
// ends when the reader disconnects or is too slow, or when the server stops. The reader then
// reconnects with Last-Event-ID. HEAD requests open no stream.
func (a *api) streamRevocations(w http.ResponseWriter, r *http.Request) error {
	// Browsers send Last-Event-ID when they reconnect. It takes precedence over the query, which has the position of
	// the first connection.
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = afterParameter(r)
	}
	after, err := parseEventNumber(from)
	if err != nil {
		return err
	}
	// A HEAD request is checked and gets the headers. It does not count as an open stream, so no stream is registered
	// for it.
	var stream *openStream
	if r.Method != http.MethodHead {
		if stream = a.streams.register(streamNetwork(a.clients.readClient(w, r).Address)); stream == nil {
			return &watchword.Error{Code: watchword.CodeTryLater, RetryAfter: 5 * time.Second,
				Detail: "Too many streams are open. Poll instead, or try again."}
		}
		defer a.streams.unregister(stream)
	}
	// The first read happens before the headers are sent, so that an unavailable store is a 503
	// and not an empty stream.
	page, err := a.engine.Revocations(r.Context(), after, maxStreamedEvents)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer the events otherwise
	if stream != nil {
		a.writeStream(w, r, stream, page)
	}
	return nil
}

// writeStream removes the server's read and write deadlines, which limit the whole request, and sets a deadline for
// each write. A reader that needs longer than streamWriteTimeout is disconnected, so that it does not hold a
// goroutine forever.
func (a *api) writeStream(w http.ResponseWriter, r *http.Request, stream *openStream, page watchword.FeedPage) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{})
	for lastHeartbeat := ""; !stream.isReplaced(); {
		text := formatEvents(page, lastHeartbeat)
		_ = conn.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
		if _, err := w.Write([]byte(text)); err != nil || conn.Flush() != nil {
			return
		}
		if !page.More {
			lastHeartbeat = page.Heartbeat.ID
			// page.Changed was read together with the page, so waitForChange does not miss an event that is added
			// before it begins to wait.
			if !a.streams.waitForChange(r, stream, page.Changed) {
				return
			}
		}
		var err error
		if page, err = a.engine.Revocations(r.Context(), page.Next, maxStreamedEvents); err != nil {
			return
		}
	}
}

// formatEvents formats a page as server-sent events. It adds the heartbeat, unless the reader has received it already
// (lastHeartbeat). The heartbeat is sent without an id field, so Last-Event-ID stays the number of the last event.
// Tokens are base64url and have no line breaks, so they need no escaping.
func formatEvents(page watchword.FeedPage, lastHeartbeat string) string {
	var text strings.Builder
	for _, event := range page.Events {
		fmt.Fprintf(&text, "id: %d\nevent: set\ndata: %s\n\n", event.Number, event.Token)
	}
	if !page.More && page.Heartbeat.ID != lastHeartbeat {
		fmt.Fprintf(&text, "event: heartbeat\ndata: %s\n\n", page.Heartbeat.Token)
	}
	return text.String()
}
