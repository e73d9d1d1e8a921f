package main_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// The server is killed repeatedly while clients send requests. Acknowledged changes must survive, a client that
// retries must keep its session, and a stolen refresh token must end its session. SOAK_ROUNDS makes the test longer.
func TestCrashLosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	onEachStore(t, crashServerRepeatedly)
}

func crashServerRepeatedly(t *testing.T, arguments []string) {
	name := "server killed, on PostgreSQL"
	if arguments == nil {
		name = "server killed, on SQLite"
	}
	f := newFault(t, name)
	f.killsServers = true
	dir, server := t.TempDir(), newServer(t, freeAddress(t))
	start := func() {
		if err := server.start(dir, []string{"HOME=" + dir},
			append(arguments, "--limits=off", "--log-level=error")); err != nil {
			t.Fatal(err)
		}
	}
	start()
	crowd := newConcurrentUsers(f, server.address)
	for crash := range soakRounds(6) {
		crowd.injectFault(t, func() {
			server.kill()
			if arguments == nil {
				checkDatabase(t, filepath.Join(dir, "watchword-data", "watchword.db"), crash)
			}
			start()
		})
		crowd.checkAcknowledgedChanges(t.Context())
	}
}

func checkDatabase(t *testing.T, path string, crash int) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("crash %d: %v", crash, err)
	}
	if err := errors.Join(store.Check(t.Context()), store.Close()); err != nil {
		t.Fatalf("crash %d: %v", crash, err)
	}
}

// One of several servers is killed repeatedly, and its clients use the other servers. Acknowledged changes must
// survive.
func TestCrashOfOneServerLosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	f := newFault(t, "one of three servers killed")
	f.killsServers = true
	servers := startFleet(t, 3, postgresArguments(pgtest.Database(t)))
	crowd := newConcurrentUsers(f, fleetAddresses(servers)...)
	for round := range soakRounds(6) {
		victim := servers[round%len(servers)]
		crowd.injectFault(t, victim.kill)
		crowd.checkAcknowledgedChanges(t.Context())
		victim.restart(t)
	}
}

type fleetServer struct {
	*server
	dir       string
	arguments []string
}

func startFleet(t *testing.T, n int, arguments []string) (servers []*fleetServer) {
	for range n {
		s := &fleetServer{server: newServer(t, freeAddress(t)), dir: t.TempDir()}
		servers = append(servers, s)
		t.Cleanup(func() { s.logOutputOnFailure(t) })
		s.arguments = append([]string{"--public-url=" + servers[0].url(), "--limits=off", "--log-level=error"},
			arguments...)
		s.restart(t)
	}
	return servers
}

func (s *fleetServer) logOutputOnFailure(t *testing.T) {
	if !t.Failed() {
		return
	}
	select {
	case err := <-s.exitCh:
		t.Logf("the server at %s had ended: %v", s.address, err)
		s.cmd = nil
	default:
		s.kill()
	}
	written := s.out.String() + s.errs.String()
	t.Logf("the server at %s wrote:\n%s", s.address, written[max(len(written)-4000, 0):])
}

func (s *fleetServer) restart(t *testing.T) {
	t.Helper()
	if err := s.start(s.dir, []string{"HOME=" + s.dir}, s.arguments); err != nil {
		t.Fatal(err)
	}
}

func fleetAddresses(servers []*fleetServer) (all []string) {
	for _, s := range servers {
		all = append(all, s.address)
	}
	return all
}
