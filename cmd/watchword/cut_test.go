package main_test

import (
	"net/url"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// The connections to the database are cut repeatedly at random moments: before a statement, during a commit, or
// between a commit and its response. Acknowledged changes must survive, and users must stay signed in.
func TestCutConnectionsLoseNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	wire := newDatabaseProxy(t, database.Host)
	database.Host = wire.Addr().String()
	s := newServer(t, freeAddress(t))
	startServer(t, s, append(postgresArguments(database.String()), "--limits=off", "--log-level=error")...)

	crowd := newConcurrentUsers(newFault(t, "connections to PostgreSQL cut"), s.address)
	for range soakRounds(10) {
		crowd.injectFault(t, wire.cutConnections)
	}
	crowd.checkAcknowledgedChanges(t.Context())
}
