package main_test

import (
	"net/url"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// The connections to the database are cut again and again, in the middle of
// whatever they are at: before a statement, within a commit, after it and before
// the answer. Acknowledged changes hold, and nobody is signed out.
func TestCutConnectionsLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.New(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	wire := newWire(t, database.Host)
	database.Host = wire.Addr().String()
	s := newServer(t, freeAddress(t))
	startServer(t, s, append(onPostgres(database.String()), "--limits=off", "--log-level=error")...)

	crowd := newCrowd(newFault(t, "connections to PostgreSQL cut"), s.address)
	for range soakRounds(10) {
		crowd.round(t, wire.cut)
	}
	crowd.check(t.Context())
}
