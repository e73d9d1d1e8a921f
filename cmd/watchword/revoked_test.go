package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/verify"
)

// After a logout, services still accept the access token of the session for a short time. This test measures that
// time from the response to the logout. It uses real servers, each with a service that follows the server's feed.
// `make revocation` prints the measured times for docs/revocation.md.
func TestEndedSessionIsRevokedEverywhere(t *testing.T) {
	t.Parallel()
	t.Run("one server, SQLite", func(t *testing.T) {
		t.Parallel()
		measureRevocation(t, startFleet(t, 1, nil))
	})
	t.Run("three servers, PostgreSQL", func(t *testing.T) {
		t.Parallel()
		measureRevocation(t, startFleet(t, 3, postgresArguments(pgtest.Database(t))))
	})
}

func measureRevocation(t *testing.T, servers []*fleetServer) {
	var services []*verify.Verifier
	for _, s := range servers {
		v, err := verify.New(servers[0].url(), verify.Options{HTTPClient: httpClientTo(t, s.address)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		if err := v.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		services = append(services, v)
	}
	ada := newDevice(t, servers[0].address)
	login := body{"email": "ada@example.com", "password": "seven purple otters", "delivery": "body"}
	ada.post(t, "/register", login, http.StatusCreated)
	took := make([][]time.Duration, len(services))
	for round := range soakRounds(20) {
		ada.moveTo(servers[round%len(servers)].address)
		in := ada.post(t, "/login", login, http.StatusOK)
		for i, v := range services {
			if _, err := v.Verify(t.Context(), in.AccessToken); err != nil {
				t.Fatalf("service %d before the logout: %v", i, err)
			}
		}
		ada.post(t, "/logout", body{"refreshToken": in.RefreshToken}, http.StatusOK)
		ended := time.Now()
		var waiting sync.WaitGroup
		for i, v := range services {
			waiting.Go(func() {
				took[i] = append(took[i], awaitRevocation(t, v, in.AccessToken).Sub(ended))
			})
		}
		waiting.Wait()
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	at := func(share float64) string { return milliseconds(all[int(share*float64(len(all)-1))]) }
	t.Logf("| %d | %d | %s | %s | %s |", len(servers), len(all), at(0.5), at(0.99), at(1))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// awaitRevocation fails after a minute.
func awaitRevocation(t *testing.T, v *verify.Verifier, token string) time.Time {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := v.Verify(ctx, token)
		switch {
		case errors.Is(err, verify.ErrRevoked):
			return time.Now()
		case err != nil:
			t.Errorf("got %v", err)
			return time.Now()
		case ctx.Err() != nil:
			t.Error("it is still accepted a minute later")
			return time.Now()
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// The client connects to address and ignores the host of a request.
func httpClientTo(t *testing.T, address string) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
