package main_test

import (
	"net/url"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// A primary, a synchronous standby, and three servers that know both. Each round
// the primary is lost and the standby promoted; the servers find it by
// themselves. Then what was lost comes back as the next standby.

// The primary's machine dies: all of its processes at once.
func TestAFailoverLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	failOver(t, newFault(t, "failover: primary killed, standby promoted"), func(primary, standby *pgtest.Server) {
		primary.Freeze(t) // none of them outlives another
		primary.Kill()
		standby.Promote(t)
	})
}

// The primary accepts connections and never answers. It is fenced, as it has to
// be, only when the servers have long moved on.
func TestAFailoverFromAPrimaryThatHangsLosesNothing(t *testing.T) {
	t.Parallel()
	failOver(t, newFault(t, "failover: primary hangs, standby promoted"), func(primary, standby *pgtest.Server) {
		primary.Freeze(t)
		standby.Promote(t)
	})
}

func failOver(t *testing.T, f *fault, lose func(primary, standby *pgtest.Server)) {
	primary := pgtest.New(t, "fsync = off") // processes die, no machine does
	database := primary.Database(t)
	standby := primary.Standby(t)
	servers := startFleet(t, 3, onPostgres(onBoth(t, database, standby)))
	crowd := newCrowd(f, addresses(servers)...)
	for i, a := range crowd.actors {
		a.device.moveTo(servers[i%len(servers)].address)
	}
	for round := range soakRounds(2) {
		if round > 0 {
			primary, standby = standby, primary
			standby.Kill()
			standby.Follow(t, primary)
		}
		crowd.round(t, func() { lose(primary, standby) })
		crowd.check(t.Context())
	}
}

// onBoth is the URL of a database on two servers, with times to wait that suit a
// test.
func onBoth(t *testing.T, database string, other *pgtest.Server) string {
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
