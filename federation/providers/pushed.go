package providers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Pushed authorization requests (RFC 9126): the server sends the parameters to the provider, and the browser gets a
// reference to them. Only providers that require such requests get them. At other providers, the start of a sign-in
// sends no request, so strangers can't make this server send requests.

// maxPushes bounds the concurrent pushed requests to one provider, because strangers can cause such requests.
const maxPushes = 8

// pushParameters sends the parameters of authorizationURL, and returns a URL with the reference to them.
func (c *client) pushParameters(ctx context.Context, m *metadata, authorizationURL string) (string, error) {
	at, err := url.Parse(authorizationURL)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	select {
	case c.pushSlots <- struct{}{}:
		defer func() { <-c.pushSlots }()
	case <-ctx.Done():
		return "", fmt.Errorf("pushed authorization request: %w", ctx.Err())
	}
	reference, err := c.sendPushedRequest(ctx, m, at.Query())
	if err != nil {
		return "", fmt.Errorf("pushed authorization request: %w", err)
	}
	at.RawQuery = url.Values{"client_id": {c.opts.ClientID}, "request_uri": {reference}}.Encode()
	return at.String(), nil
}

// sendPushedRequest sends the parameters and returns the reference. It authenticates as at the token endpoint (RFC
// 9126, section 2).
func (c *client) sendPushedRequest(ctx context.Context, m *metadata, form url.Values) (string, error) {
	if m.takesSecretInBody() {
		form.Set("client_secret", string(c.opts.ClientSecret))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.PushURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !m.takesSecretInBody() { // id and secret are URL-encoded (RFC 6749, section 2.3.1)
		r.SetBasicAuth(url.QueryEscape(c.opts.ClientID), url.QueryEscape(string(c.opts.ClientSecret)))
	}
	response, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		RequestURI string `json:"request_uri"`
		Error      string `json:"error"`
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if json.Unmarshal(text, &answer) != nil || response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the provider responds with status %d and the error %q", response.StatusCode,
			safeErrorCode(answer.Error))
	}
	if answer.RequestURI == "" {
		return "", errors.New("the response has no request_uri")
	}
	return answer.RequestURI, nil
}
