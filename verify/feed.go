package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/secevent"
	"github.com/watchword-auth/watchword/internal/sleep"
)

// This file follows the revocation feed (docs/revocation.md). The network between the
// issuer and the verifier may cut connections, and repeat, reorder or forge events.
// Every event is therefore verified, and a repeated event has no effect. An event that
// can't be verified ends the connection, so that no event is skipped. A recent
// heartbeat proves that the feed is up to date, because it can't be forged.

const (
	maxStreamSilence    = 7 * time.Second // without a heartbeat or a new event
	maxSilentStreams    = 3               // consecutive streams without a heartbeat; then the verifier polls
	streamRetryInterval = 30 * time.Second
	pollInterval        = 2 * time.Second

	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	maxFeedLine     = 16 << 10 // bytes
	maxFeedPage     = 4 << 20
	cleanupInterval = time.Minute
)

// A follower keeps the list of revocations up to date. Only one goroutine uses it.
type follower struct {
	issuer      *issuer
	keys        *issuerKeys
	revoked     *revocations
	opts        Options
	eventIssuer string // the issuer in the metadata

	// Events may arrive in any order. When an event arrives, events with smaller numbers may therefore still be
	// missing. A heartbeat means that all have arrived, so it sets cursor to largestNumber.
	largestNumber int64 // of all events received
	cursor        int64 // all events up to this number have arrived; reading resumes after it
	lastCleanup   time.Time
}

// run follows the stream until ctx ends. While the stream is unavailable, run polls. It also polls if a stream ends
// without a heartbeat, because each page of a poll makes progress even on a network that cuts streams.
func (f *follower) run(ctx context.Context) {
	var failedRounds, shortStreams, silentStreams int // consecutive; silent: without heartbeat
	var nextStreamAt time.Time
	f.lastCleanup = time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		about, err := f.issuer.metadata(ctx)
		f.eventIssuer = about.Issuer
		if err == nil && about.RevocationStream != "" && began.After(nextStreamAt) {
			var hadHeartbeat bool
			if hadHeartbeat, err = f.readStream(ctx, about.RevocationStream); hadHeartbeat {
				if shortStreams++; time.Since(began) > maxStreamSilence {
					shortStreams = 0
				}
				failedRounds, silentStreams = 0, 0
				pauseAfterFailures(ctx, min(shortStreams, 3)) // the stream works, so the wait is brief
				continue
			}
			if silentStreams++; silentStreams >= maxSilentStreams {
				nextStreamAt = time.Now().Add(streamRetryInterval)
			}
		}
		if about.RevocationFeed != "" {
			if pollErr := f.pollAllPages(ctx, about.RevocationFeed); pollErr == nil {
				failedRounds = 0
				_ = sleep.For(ctx, pollInterval)
				continue
			} else {
				err = errors.Join(err, pollErr)
			}
		}
		if err == nil {
			err = errors.New("the issuer's metadata names no revocation feed")
		} else {
			f.issuer.invalidateMetadata() // the endpoints may have moved
		}
		if ctx.Err() == nil && failedRounds == 0 {
			f.opts.Log.Warn("can't read the revocation feed", slog.String("issuer", f.issuer.name), slog.Any("error", err))
		}
		nextStreamAt, silentStreams = time.Time{}, 0 // polling fails too, so the stream is not the cause: try it again
		failedRounds++
		pauseAfterFailures(ctx, failedRounds)
	}
}

// The pause doubles with each failure, up to lastPause. Half of it is random (the nanoseconds of the clock), so that
// verifiers that lost their connections at the same time do not reconnect at the same time.
func pauseAfterFailures(ctx context.Context, failures int) {
	longest := min(firstPause<<min(failures, 10), lastPause)
	_ = sleep.For(ctx, longest/2+time.Duration(time.Now().UnixNano())%(longest/2))
}

// readStream reads events until the stream ends. The stream worked if it had at least one recent heartbeat.
func (f *follower) readStream(ctx context.Context, address string) (hadHeartbeat bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(maxStreamSilence, cancel)
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", strconv.FormatInt(f.cursor, 10))
	response, err := f.issuer.client.Do(r)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return false, &statusError{address, response.StatusCode}
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxFeedLine)
	var newestNumber int64
	for lines.Scan() {
		token, isData := strings.CutPrefix(lines.Text(), "data:")
		if !isData {
			continue // skip the other fields, because the token contains them
		}
		event, err := f.verifyEvent(ctx, strings.TrimPrefix(token, " "))
		if err == nil {
			err = f.processEvent(event)
		}
		if err != nil {
			return hadHeartbeat, err
		}
		// Only a heartbeat or a new number keeps the stream open. Heartbeats count, because processEvent has checked
		// that they are recent. An event with an old number does not count, because an attacker can replay it. New
		// numbers count, because after many sessions have ended at once, many events arrive before the next
		// heartbeat.
		isHeartbeat := event.Kind == secevent.Heartbeat
		if isHeartbeat || event.Number > newestNumber {
			newestNumber = max(newestNumber, event.Number)
			silence.Reset(maxStreamSilence)
		}
		hadHeartbeat = hadHeartbeat || isHeartbeat
	}
	return hadHeartbeat, lines.Err()
}

func (f *follower) pollAllPages(ctx context.Context, feed string) error {
	address, err := url.Parse(feed)
	if err != nil {
		return err
	}
	for after := f.cursor; ; {
		query := address.Query()
		query.Set("after", strconv.FormatInt(after, 10))
		address.RawQuery = query.Encode()
		document, _, err := f.issuer.fetchDocument(ctx, address.String(), maxFeedPage)
		if err != nil {
			return fmt.Errorf("read the revocation feed: %w", err)
		}
		next, err := f.processPage(ctx, document)
		if err != nil || next == 0 {
			return err
		}
		if next == after {
			return errors.New("the revocation feed names the same page as the next")
		}
		after = next
	}
}

// processPage processes the response to a poll: first its events, then its heartbeat. It returns the cursor of the
// next page, or 0 after the last page. After a restore from a backup, this cursor may be smaller than the previous
// one.
func (f *follower) processPage(ctx context.Context, document []byte) (nextCursor int64, err error) {
	var page struct {
		SETs map[string]string `json:"sets"`
		More bool              `json:"moreAvailable"`
		Next int64             `json:"next"`
	}
	if err := json.Unmarshal(document, &page); err != nil {
		return 0, fmt.Errorf("the response of the revocation feed is not JSON: %w", err)
	}
	var heartbeat *secevent.Event
	for _, token := range page.SETs {
		event, err := f.verifyEvent(ctx, token)
		if err != nil {
			return 0, err
		}
		if event.Kind == secevent.Heartbeat {
			heartbeat = &event
			continue
		}
		f.storeRevocation(event)
	}
	if page.More {
		if page.Next < 1 {
			return 0, errors.New("the revocation feed does not name its next page")
		}
		return page.Next, nil
	}
	if heartbeat == nil {
		return 0, errors.New("the revocation feed ends without a heartbeat")
	}
	return 0, f.processEvent(*heartbeat)
}

// verifyEvent verifies the signature and the claims of an event. If the key of the token is unknown, it reads the
// JWKS again.
func (f *follower) verifyEvent(ctx context.Context, token string) (secevent.Event, error) {
	set, err := f.keys.currentKeys(ctx)
	if err != nil {
		return secevent.Event{}, err
	}
	unknown := false
	findKey := func(kid string) (accesstoken.Key, bool) {
		key, ok := set.byID[kid]
		unknown = !ok
		return key, ok
	}
	event, err := secevent.Verify(token, findKey, f.eventIssuer, f.opts.Audience)
	if unknown {
		if set, err = f.keys.rereadUnlessRecent(ctx); err != nil {
			return secevent.Event{}, err
		}
		event, err = secevent.Verify(token, findKey, f.eventIssuer, f.opts.Audience)
	}
	if err != nil {
		return secevent.Event{}, fmt.Errorf("the revocation feed: %w", err)
	}
	return event, nil
}

// storeRevocation stores the revocation that an event reports. It skips events of an unknown kind, because a newer
// server may send them.
func (f *follower) storeRevocation(event secevent.Event) {
	f.largestNumber = max(f.largestNumber, event.Number)
	switch event.Kind {
	case secevent.SessionRevoked:
		f.revoked.endSession(event.Session, time.Now())
	case secevent.ClaimsChanged:
		f.revoked.recordRoleChange(event.User, event.At, time.Now())
	}
}

// processEvent stores a revocation or processes a heartbeat. It returns an error if a heartbeat is not recent.
func (f *follower) processEvent(event secevent.Event) error {
	if event.Kind != secevent.Heartbeat {
		f.storeRevocation(event)
		return nil
	}
	issued := time.Unix(event.IssuedAt, 0)
	late := f.opts.Now().Sub(issued) - f.opts.Leeway - time.Second // a second less, because `iat` is rounded down
	if late > maxStreamSilence || -late > 2*f.opts.Leeway+time.Second {
		return fmt.Errorf("the revocation feed: the heartbeat of %s is replayed, or a clock is wrong",
			issued.UTC().Format(time.RFC3339))
	}
	if event.Head < f.cursor {
		f.largestNumber = event.Head // the store was restored from a backup, so numbers start again
	}
	f.cursor = f.largestNumber
	f.revoked.markComplete(time.Now().Add(-max(late, 0)))
	return f.cleanUp()
}

// cleanUp deletes expired revocations once a minute. If revocations did not fit into memory, and there is room again,
// it returns an error, so that the feed is read from its beginning.
func (f *follower) cleanUp() error {
	now := time.Now()
	if now.Sub(f.lastCleanup) < cleanupInterval {
		return nil
	}
	f.lastCleanup = now
	f.revoked.deleteExpired(now)
	if f.revoked.takeOverflow() {
		f.largestNumber, f.cursor = 0, 0
		return errors.New("the revocation feed: more revocations than fit into memory; reading it from the beginning")
	}
	return nil
}
