package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/sleep"
)

const (
	// retryPause is the wait before the second attempt, if the server sends no Retry-After.
	retryPause = 200 * time.Millisecond
	// maxRetryAfter bounds the wait before the second attempt. If the server requires more, the
	// program gets the error.
	maxRetryAfter = 10 * time.Second
	// maxResponseBytes bounds the memory of a response. A page of 200 accounts has about 100 kB.
	maxResponseBytes = 32 << 20
)

type operation struct{ method, path string }

// A caller sends the requests of a Client. The key is inside a function, so that printing a Client with
// %+v does not show it.
type caller struct {
	base      string
	key       func(context.Context) (string, error)
	http      *http.Client
	timeout   time.Duration
	retryWait time.Duration
}

type request struct {
	pathIDs []string
	query   url.Values
	body    any
	ifMatch string
}

type idempotencyKey struct{}

// WithIdempotencyKey sets the idempotency key, a UUID, for the next write that uses the returned context. Use it for
// one write only. If a program restarts and repeats the write within a day, it gets the first result.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// callWithRetry retries once, if the error of the first attempt allows a retry.
func callWithRetry[T any](ctx context.Context, c *caller, o operation, r request) (answer T, err error) {
	address, err := c.buildURL(o, r)
	if err != nil {
		return answer, err
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return answer, fmt.Errorf("client: encode the body: %w", err)
		}
	}
	header := http.Header{"Accept": {"application/json"}}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	if o.method != http.MethodGet {
		key, _ := ctx.Value(idempotencyKey{}).(string)
		if key == "" {
			key = newUUID()
		}
		header.Set("Idempotency-Key", key)
	}
	if r.ifMatch != "" {
		header.Set("If-Match", r.ifMatch)
	}
	wait, again := time.Duration(0), false
	for attempt := range 2 {
		if attempt > 0 && sleep.For(ctx, wait) != nil {
			break // ctx has ended: return the error of the first attempt
		}
		var raw []byte
		if raw, err = c.sendOnce(ctx, o.method, address, header, body); err == nil {
			if err = decode(raw, &answer); err == nil {
				return answer, nil
			}
		}
		if wait, again = c.retryDelay(err); !again || ctx.Err() != nil {
			break
		}
	}
	return answer, err
}

func decode(raw []byte, answer any) error {
	if len(raw) == 0 {
		return nil // 204
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return connectionError(err)
	}
	return nil
}

// retryDelay returns the wait before the second attempt, or false if the error allows no second attempt.
func (c *caller) retryDelay(err error) (time.Duration, bool) {
	var e *Error
	if !errors.As(err, &e) {
		return 0, false
	}
	switch {
	case e.Status == 0, e.Status == http.StatusBadGateway, e.Status == http.StatusGatewayTimeout:
		return c.retryWait, true // the response was lost
	case e.Status == http.StatusServiceUnavailable, e.Status == http.StatusTooManyRequests:
		return e.RetryAfter, e.RetryAfter > 0 && e.RetryAfter <= maxRetryAfter
	}
	return 0, false
}

// sendOnce returns the body of a successful response.
func (c *caller) sendOnce(
	ctx context.Context, method, address string, header http.Header, body []byte,
) ([]byte, error) {
	key, err := c.key(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: get the key: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("client: the request is malformed") // the original error would contain the address
	}
	r.Header = header.Clone()
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := c.http.Do(r)
	if err != nil {
		return nil, connectionError(err)
	}
	defer response.Body.Close() //nolint:errcheck // the body was read
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, parseErrorResponse(response, key)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	if err != nil {
		return nil, connectionError(err)
	}
	return raw, nil
}

// buildURL refuses an empty id, which would address a different resource, such as all sessions instead of one. It
// also refuses the segments . and .., because proxies resolve them.
func (c *caller) buildURL(o operation, r request) (string, error) {
	path := o.path
	for _, id := range r.pathIDs {
		if id == "" || id == "." || id == ".." {
			return "", errors.New("client: an id is empty or a dot")
		}
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + url.PathEscape(id) + after
	}
	if len(r.query) > 0 {
		path += "?" + r.query.Encode()
	}
	return c.base + path, nil
}

func iteratePages[T any](page func(after string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := ""; ; {
			items, next, err := page(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			after = next
		}
	}
}

// setQuery skips a parameter that has its zero value.
func setQuery[T string | int64 | bool](v url.Values, name string, value T) {
	var zero T
	if value == zero {
		return
	}
	switch value := any(value).(type) {
	case string:
		v.Set(name, value)
	case int64:
		v.Set(name, strconv.FormatInt(value, 10))
	case bool:
		v.Set(name, strconv.FormatBool(value))
	}
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
