package main_test

import (
	"net/url"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// The tests run a primary database, a synchronous standby, and three servers that know both databases. In each round,
// the primary fails, the standby is promoted, and the servers switch to the new primary. The failed machine then
// returns as the next standby.

// The test kills all processes of the primary at the same time. Acknowledged changes must survive.
func TestFailoverLosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	failOver(t, newFault(t, "failover: primary killed, standby promoted"), func(primary, standby *pgtest.Server) {
		primary.Freeze(t) // Kill then ends all processes at the same time
		primary.Kill()
		standby.Promote(t)
	})
}

// The primary accepts connections but never responds. It is shut down only long after the servers have switched to
// the new primary. Acknowledged changes must survive.
func TestFailoverFromAHangingPrimaryLosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	failOver(t, newFault(t, "failover: primary hangs, standby promoted"), func(primary, standby *pgtest.Server) {
		primary.Freeze(t)
		standby.Promote(t)
	})
}

func failOver(t *testing.T, f *fault, lose func(primary, standby *pgtest.Server)) {
	primary := pgtest.New(t, "fsync = off") // only processes are killed, so the page cache survives
	database := primary.Database(t)
	standby := primary.Standby(t)
	servers := startFleet(t, 3, postgresArguments(urlOfBothServers(t, database, standby)))
	crowd := newConcurrentUsers(f, fleetAddresses(servers)...)
	for i, a := range crowd.actors {
		a.device.moveTo(servers[i%len(servers)].address)
	}
	for round := range soakRounds(2) {
		if round > 0 {
			primary, standby = standby, primary
			standby.Kill()
			standby.Follow(t, primary)
		}
		crowd.injectFault(t, func() { lose(primary, standby) })
		crowd.checkAcknowledgedChanges(t.Context())
	}
}

// urlOfBothServers returns a URL with the hosts of both databases and with short timeouts. The driver uses the host
// that accepts writes.
func urlOfBothServers(t *testing.T, database string, other *pgtest.Server) string {
	t.Helper()
	first, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	second, err := url.Parse(other.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	first.Host += "," + second.Host
	return first.String() + "&target_session_attrs=read-write&connect_timeout=2&statement_timeout=4000"
}
