// Package providers talks to external providers: OpenID Connect providers, and GitHub. It redeems
// codes and verifies what providers sign. Package federation decides which account an identity
// opens.
//
// Unstable: the program watchword uses it.
package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/internal/weborigin"
)

const (
	requestTimeout  = 5 * time.Second  // for one request to a provider
	exchangeTimeout = 12 * time.Second // for all requests of one Exchange
	maxBody         = 1 << 20          // maximum size of a response in bytes
)

// newHTTPClient returns a client for requests to providers. It follows no redirects, because a
// redirect could send the client secret to another host.
func newHTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport: limitedTransport{transport},
		Timeout:   requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the provider redirects a request of the server")
		},
	}
}

// A limitedTransport bounds the bodies of all responses, including the bodies that libraries read.
type limitedTransport struct{ next http.RoundTripper }

func (l limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err == nil {
		response.Body = &limitedBody{response.Body, maxBody}
	}
	return response, err
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the response is larger than 1 MiB")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// getJSON reads a JSON document. bearer is an access token, or "".
func getJSON(ctx context.Context, client *http.Client, from, bearer string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "watchword")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with status %d", r.URL.Redacted(), response.StatusCode)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return fmt.Errorf("%s responds with %q instead of JSON", r.URL.Redacted(), kind)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: the response is not valid: %w", r.URL.Redacted(), err)
	}
	return nil
}

// checkURL accepts https URLs. For tests and development, it also accepts http on the loopback.
func checkURL(what, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.Fragment != "":
		return fmt.Errorf("%s %q is not a URL", what, raw)
	case u.Scheme == "https", u.Scheme == "http" && weborigin.IsLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s %q needs https", what, raw)
}
