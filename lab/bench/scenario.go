package bench

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A scenario runs one or more loads and stores their figures.
type scenario struct {
	name      string
	passwords bool // the scenario hashes passwords
	run       func(ctx context.Context, t *trial, into map[string]Figures) error
}

// scenarios contains the scenarios in the order in which a trial runs them. The scenario lone is the first, because
// it needs an idle server. The scenario logout is the last, because it ends the sessions of all earlier scenarios.
var scenarios = []scenario{
	{"lone", false, lone},
	{"signup", true, signUps},
	{"login", true, logins},
	{"refresh", false, refreshes},
	{"me", false, profiles},
	{"storm", true, storm},
	{"fairness", true, fairness},
	{"logout", true, logouts},
}

// Scenarios returns the names of all scenarios.
func Scenarios() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

const (
	stormLogins   = 64  // connections that sign in during the scenario storm
	stormRate     = 100 // refreshes per second in storm; the same number of profile reads
	stormClients  = 16  // maximum number of connections in storm that refresh; also of those that read
	crowd         = 60  // connections of the busy client in the scenario fairness
	crowdClient   = "10.9.9.9"
	besideClient  = "10.8.8.8"
	logoutClients = 16
)

// lone measures the server with one connection at a time.
func lone(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	one := load{connections: 1, duration: t.plan.For / 2}
	if into["lone refresh"], err = t.warm(ctx, one, t.refreshOwn); err != nil {
		return err
	}
	into["lone me"], err = t.warm(ctx, one, t.readProfile)
	return err
}

// signUps measures how long a sign-up takes, until the client has its tokens.
func signUps(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["sign-up"], err = t.measure(ctx, t.load(t.plan.Logins),
		func(ctx context.Context, c *conn, connection, _ int) error {
			s, err := t.signUp(ctx, c, clientOf(connection))
			if err == nil {
				t.keep(s)
			}
			return err
		})
	return err
}

func logins(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["login"], err = t.measure(ctx, t.load(t.plan.Logins), t.loginAs(clientOf))
	return err
}

// refreshes measures refreshes. Each connection has one session, and presents the token of its previous response.
func refreshes(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["refresh"], err = t.warm(ctx, t.load(t.plan.Connections), t.refreshOwn)
	return err
}

func profiles(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["me"], err = t.warm(ctx, t.load(t.plan.Connections), t.readProfile)
	return err
}

// storm measures refreshes and reads of profiles at a low fixed rate, while 64 connections sign in continuously.
func storm(ctx context.Context, t *trial, into map[string]Figures) error {
	clients := min(stormClients, t.plan.Connections/2) // half of the sessions refresh, half read profiles
	beside := load{connections: clients, duration: t.plan.For, rate: stormRate}
	return together(ctx, into, map[string]func(context.Context) (Figures, error){
		"storm login": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, load{connections: stormLogins, duration: t.plan.For}, t.loginAs(clientOf))
		},
		"storm refresh": func(ctx context.Context) (Figures, error) { return t.measure(ctx, beside, t.refreshOwn) },
		"storm me": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, beside, func(ctx context.Context, c *conn, connection, n int) error {
				// Reads of profiles use sessions from the end of the list, because the refreshes use those from its
				// start.
				return t.readProfile(ctx, c, len(t.sessions)-1-connection, n)
			})
		},
	})
}

// fairness measures the logins of one client twice: first without other load, then while another client signs in on
// 60 connections.
func fairness(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	one := t.loginAs(func(int) string { return besideClient })
	into["fairness alone"], err = t.measure(ctx, load{connections: 1, duration: t.plan.For / 2}, one)
	if err != nil {
		return err
	}
	return together(ctx, into, map[string]func(context.Context) (Figures, error){
		"fairness crowd": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, load{connections: crowd, duration: 2 * t.plan.For},
				t.loginAs(func(int) string { return crowdClient }))
		},
		"fairness beside": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, load{connections: 1, duration: 2 * t.plan.For}, one)
		},
	})
}

// logouts ends each session of the earlier scenarios once. If there are no such sessions, it signs in first.
func logouts(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	if t.target.kind.api.logout == nil {
		return nil
	}
	if len(t.spare) == 0 {
		if _, err := t.measure(ctx, t.load(t.plan.Logins), t.loginAs(clientOf)); err != nil {
			return err
		}
	}
	all := slices.Clone(t.spare)
	into["logout"], err = t.measure(ctx, load{connections: logoutClients, duration: time.Minute, limit: len(all)},
		func(ctx context.Context, c *conn, connection, n int) error {
			_, err := t.call(ctx, c, t.target.kind.api.logout(all[n]), clientOf(connection))
			return err
		})
	return err
}

// load returns a load with the duration and the rate of the plan.
func (t *trial) load(connections int) load {
	return load{connections: connections, duration: t.plan.For, rate: t.plan.Rate}
}

// warm measures a load after a warm-up. In the warm-up, the same load runs for half of its time, so that just-in-time
// compilers and caches reach their usual state.
func (t *trial) warm(ctx context.Context, l load,
	call func(ctx context.Context, c *conn, connection, n int) error) (Figures, error) {
	short := l
	short.duration /= 2
	if _, err := t.measure(ctx, short, call); err != nil {
		return Figures{}, err
	}
	return t.measure(ctx, l, call)
}

func (t *trial) refreshOwn(ctx context.Context, c *conn, connection, _ int) error {
	return t.refresh(ctx, c, t.sessions[connection], clientOf(connection))
}

func (t *trial) readProfile(ctx context.Context, c *conn, connection, _ int) error {
	_, err := t.call(ctx, c, t.target.kind.api.me(t.sessions[connection]), clientOf(connection))
	return err
}

// loginAs returns an operation that signs in with each account in turn. The argument client is a function that
// returns the client address for a connection.
func (t *trial) loginAs(client func(connection int) string) func(context.Context, *conn, int, int) error {
	return func(ctx context.Context, c *conn, connection, n int) error {
		s, err := t.login(ctx, c, t.sessions[n%len(t.sessions)].user, client(connection))
		if err == nil {
			t.keep(s)
		}
		return err
	}
}

// together runs several loads concurrently. Their figures include no processor time, because it can't be divided
// among the loads.
func together(ctx context.Context, into map[string]Figures,
	loads map[string]func(context.Context) (Figures, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	for name, run := range loads {
		group.Go(func() {
			f, err := run(ctx)
			if err != nil {
				cancel(err)
			}
			f.CPU = 0
			mu.Lock()
			defer mu.Unlock()
			into[name] = f
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
