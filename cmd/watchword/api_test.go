package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

type body map[string]any

// An apiResponse has a field for each member of any response.
type apiResponse struct {
	request    string
	status     int
	retryAfter int // in seconds; 0: no header

	User                            person
	AccessToken, RefreshToken, Code string
	Ended                           int
	Sessions                        []struct{ ID string }
	Challenge                       struct{ Handle string }
	ID, Secret                      string // of an enrolment
	Factor                          struct{ ID string }
	RecoveryCodes, Codes            []string
}

type person struct {
	ID, Email, Name string
	EmailVerified   bool
}

// A device is a client of the API. It keeps cookies and the last access token.
type device struct {
	origin        string
	serverAddress *atomic.Value // a string
	client        *http.Client
	accessToken   string
}

func newDevice(t *testing.T, address string) *device {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{origin: "http://" + address, serverAddress: &atomic.Value{}}
	d.serverAddress.Store(address)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.serverAddress.Load().(string))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	d.client = &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}
	return d
}

// moveTo sends later requests of the device to another server, as a load balancer can.
func (d *device) moveTo(address string) {
	d.serverAddress.Store(address)
	d.client.CloseIdleConnections()
}

// send returns an error only if it receives no response.
func (d *device) send(ctx context.Context, method, path string, b body) (*apiResponse, error) {
	var payload bytes.Buffer
	if b != nil {
		if err := json.NewEncoder(&payload).Encode(b); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, d.origin+"/api/auth"+path, &payload)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Origin", d.origin)
	if b != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if d.accessToken != "" {
		request.Header.Set("Authorization", "Bearer "+d.accessToken)
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &apiResponse{request: method + " " + path, status: response.StatusCode}
	a.retryAfter, _ = strconv.Atoi(response.Header.Get("Retry-After"))
	if err := json.NewDecoder(response.Body).Decode(a); err != nil {
		return nil, fmt.Errorf("%s: %d: %w", a.request, a.status, err)
	}
	if a.AccessToken != "" {
		d.accessToken = a.AccessToken
	}
	return a, nil
}

func (d *device) get(t *testing.T, path string, want int) *apiResponse {
	t.Helper()
	return d.mustSend(t, http.MethodGet, path, nil).wantStatus(t, want)
}

func (d *device) post(t *testing.T, path string, b body, want int) *apiResponse {
	t.Helper()
	return d.mustSend(t, http.MethodPost, path, b).wantStatus(t, want)
}

func (d *device) mustSend(t *testing.T, method, path string, b body) *apiResponse {
	t.Helper()
	a, err := d.send(t.Context(), method, path, b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *apiResponse) wantStatus(t *testing.T, status int) *apiResponse {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: status %d %s, want %d", a.request, a.status, a.Code, status)
	}
	return a
}

func (a *apiResponse) wantCode(t *testing.T, code string) {
	t.Helper()
	if a.Code != code {
		t.Fatalf("%s: code %s, want %s", a.request, a.Code, code)
	}
}
