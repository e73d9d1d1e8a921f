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
)

// Following the revocation feed (docs/revocation.md). Whatever lies between the
// issuer and us may cut, repeat, reorder and invent: every event is verified, one
// that is told again changes nothing, and one that can't be verified is neither
// believed nor passed over. What nobody can fake is a heartbeat of now.

const (
	streamSilence = 7 * time.Second // three heartbeats are missing
	streamTries   = 3               // in a row, before the stream is left alone for a while
	streamRest    = 30 * time.Second
	pollEvery     = 2 * time.Second

	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second

	maxFeedLine = 16 << 10 // bytes
	maxFeedPage = 4 << 20
	forgetEvery = time.Minute
)

// A follower keeps revocations up to date. One goroutine runs it.
type follower struct {
	issuer  *issuer
	keys    *keys
	revoked *revocations
	opts    Options

	// Events may come in any order, so a number says nothing about smaller ones. A
	// heartbeat does: with one, told becomes seen.
	told   int64 // the largest number that was told
	seen   int64 // everything up to it was; where to go on
	forgot time.Time
}

// run follows the stream, and polls while there is none, until ctx ends.
func (f *follower) run(ctx context.Context) {
	var failed, short, silent int // in a row: everything, streams that were cut early, streams without a word
	var streamAt time.Time
	f.forgot = time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		about, err := f.issuer.metadata(ctx)
		if err == nil && about.RevocationStream != "" && began.After(streamAt) {
			var heard bool
			if heard, err = f.stream(ctx, about.RevocationStream); heard {
				if short++; time.Since(began) > streamSilence {
					short = 0
				}
				failed, silent = 0, 0
				pause(ctx, min(short, 3)) // not long: it works
				continue
			}
			if silent++; silent >= streamTries {
				streamAt = time.Now().Add(streamRest)
			}
		}
		if about.RevocationFeed != "" {
			if pollErr := f.poll(ctx, about.RevocationFeed); pollErr == nil {
				failed = 0
				sleep(ctx, pollEvery)
				continue
			} else {
				err = errors.Join(err, pollErr)
			}
		}
		if err == nil {
			err = errors.New("the issuer announces none")
		} else {
			f.issuer.forget() // what it says of itself may be out of date
		}
		if ctx.Err() == nil && failed == 0 {
			f.opts.Log.Warn("the revocation feed can't be heard", slog.String("issuer", f.issuer.name), slog.Any("error", err))
		}
		streamAt, silent = time.Time{}, 0 // it is not the stream
		failed++
		pause(ctx, failed)
	}
}

// pause is longer with each time, and differs between those who were cut off
// together: their clocks are noise enough for that.
func pause(ctx context.Context, times int) {
	longest := min(firstPause<<min(times, 10), lastPause)
	sleep(ctx, longest/2+time.Duration(time.Now().UnixNano())%(longest/2))
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stream follows the stream until it ends, and reports whether anything was heard.
func (f *follower) stream(ctx context.Context, address string) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", strconv.FormatInt(f.seen, 10))
	answer, err := f.issuer.client.Do(r)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return false, &statusError{address, answer.StatusCode}
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxFeedLine)
	for lines.Scan() {
		token, isData := strings.CutPrefix(lines.Text(), "data:")
		if !isData {
			continue // what else there is, is in the token as well
		}
		event, err := f.verify(ctx, strings.TrimPrefix(token, " "))
		if err == nil {
			err = f.take(event)
		}
		if err != nil {
			return heard, err
		}
		heard = true
		if event.Kind == secevent.Heartbeat { // of now: anything else may be an old one
			silence.Reset(streamSilence)
		}
	}
	return heard, lines.Err()
}

// poll reads the feed to its end.
func (f *follower) poll(ctx context.Context, feed string) error {
	address, err := url.Parse(feed)
	if err != nil {
		return err
	}
	for after := f.seen; ; {
		query := address.Query()
		query.Set("after", strconv.FormatInt(after, 10))
		address.RawQuery = query.Encode()
		document, _, err := f.issuer.get(ctx, address.String(), maxFeedPage)
		if err != nil {
			return fmt.Errorf("read the revocation feed: %w", err)
		}
		next, err := f.takePage(ctx, document)
		if err != nil || next == 0 {
			return err
		}
		if next == after {
			return errors.New("the revocation feed does not go on")
		}
		after = next
	}
}

// takePage takes in an answer to a poll, the heartbeat last. It returns where the
// next page begins, 0 for none: a feed that began again goes back.
func (f *follower) takePage(ctx context.Context, document []byte) (next int64, err error) {
	var page struct {
		SETs map[string]string `json:"sets"`
		More bool              `json:"moreAvailable"`
		Next int64             `json:"next"`
	}
	if err := json.Unmarshal(document, &page); err != nil {
		return 0, fmt.Errorf("the revocation feed is no page of one: %w", err)
	}
	var heartbeat *secevent.Event
	for _, token := range page.SETs {
		event, err := f.verify(ctx, token)
		if err != nil {
			return 0, err
		}
		if event.Kind == secevent.Heartbeat {
			heartbeat = &event
			continue
		}
		f.note(event)
	}
	if page.More {
		if page.Next < 1 {
			return 0, errors.New("the revocation feed does not say how it goes on")
		}
		return page.Next, nil
	}
	if heartbeat == nil {
		return 0, errors.New("the revocation feed ends without a heartbeat")
	}
	return 0, f.take(*heartbeat)
}

// verify returns what a token of the feed says. One of a key that is not known is
// reason to read the JWKS again.
func (f *follower) verify(ctx context.Context, token string) (secevent.Event, error) {
	set, err := f.keys.current(ctx)
	if err != nil {
		return secevent.Event{}, err
	}
	unknown := false
	find := func(kid string) (accesstoken.Key, bool) {
		key, ok := set.keys[kid]
		unknown = !ok
		return key, ok
	}
	event, err := secevent.Verify(token, find, f.issuer.name, f.opts.Audience)
	if unknown {
		if set, err = f.keys.reread(ctx); err != nil {
			return secevent.Event{}, err
		}
		event, err = secevent.Verify(token, find, f.issuer.name, f.opts.Audience)
	}
	if err != nil {
		return secevent.Event{}, fmt.Errorf("the revocation feed: %w", err)
	}
	return event, nil
}

// note remembers what an event calls back. Of a kind that we don't know there is
// nothing to remember.
func (f *follower) note(event secevent.Event) {
	f.told = max(f.told, event.Number)
	switch event.Kind {
	case secevent.SessionRevoked:
		f.revoked.endSession(event.Session, time.Now())
	case secevent.ClaimsChanged:
		f.revoked.changeClaims(event.User, event.At, time.Now())
	}
}

// take takes in an event of the stream.
func (f *follower) take(event secevent.Event) error {
	if event.Kind != secevent.Heartbeat {
		f.note(event)
		return nil
	}
	said := time.Unix(event.IssuedAt, 0)
	late := f.opts.Now().Sub(said) - f.opts.Leeway - time.Second // `iat` has no fractions
	if late > streamSilence || -late > 2*f.opts.Leeway+time.Second {
		return fmt.Errorf("the revocation feed: a heartbeat of %s is not one of now: old, or a clock is wrong", said.UTC().Format(time.RFC3339))
	}
	if event.Head < f.seen {
		f.told = event.Head // the store was restored from a backup, and the feed began again
	}
	f.seen = f.told
	f.revoked.markCurrent(time.Now().Add(-max(late, 0)))
	return f.tidy()
}

// tidy gives up what is too old, now and then.
func (f *follower) tidy() error {
	now := time.Now()
	if now.Sub(f.forgot) < forgetEvery {
		return nil
	}
	f.forgot = now
	f.revoked.deleteExpired(now)
	if f.revoked.takeOverflow() {
		f.told, f.seen = 0, 0
		return errors.New("the revocation feed: there was more than could be remembered; it is read again")
	}
	return nil
}
