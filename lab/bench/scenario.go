package bench

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A scenario measures one or more loads and stores their figures.
type scenario struct {
	name      string
	passwords bool // it hashes passwords
	run       func(ctx context.Context, t *trial, into map[string]Figures) error
}

// scenarios are in the order of a trial. The first runs without other load. The last is
// logout, which ends the sessions of the earlier scenarios.
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
	stormLogins   = 64  // connections that sign in during a storm
	stormRate     = 100 // refreshes, and profiles, per second during a storm
	stormClients  = 16  // maximum number of connections for refreshes, and for profiles
	crowd         = 60  // connections of the busy client
	crowdClient   = "10.9.9.9"
	besideClient  = "10.8.8.8"
	logoutClients = 16
)

// lone measures one connection without other load.
func lone(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	one := load{connections: 1, duration: t.plan.For / 2}
	if into["lone refresh"], err = t.warm(ctx, one, t.refreshOwn); err != nil {
		return err
	}
	into["lone me"], err = t.warm(ctx, one, t.readProfile)
	return err
}

// signUps measures sign-ups until the client has tokens.
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

// refreshes measures chains: each connection has one session and sends the token of the
// previous response.
func refreshes(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["refresh"], err = t.warm(ctx, t.load(t.plan.Connections), t.refreshOwn)
	return err
}

func profiles(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["me"], err = t.warm(ctx, t.load(t.plan.Connections), t.readProfile)
	return err
}

// storm measures refreshes and profiles at a low fixed rate while 64 connections sign in
// continuously.
func storm(ctx context.Context, t *trial, into map[string]Figures) error {
	clients := min(stormClients, t.plan.Connections/2) // one half refreshes, the other reads profiles
	beside := load{connections: clients, duration: t.plan.For, rate: stormRate}
	return together(ctx, into, map[string]func(context.Context) (Figures, error){
		"storm login": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, load{connections: stormLogins, duration: t.plan.For}, t.loginAs(clientOf))
		},
		"storm refresh": func(ctx context.Context) (Figures, error) { return t.measure(ctx, beside, t.refreshOwn) },
		"storm me": func(ctx context.Context) (Figures, error) {
			return t.measure(ctx, beside, func(ctx context.Context, c *conn, connection, n int) error {
				// Profiles use the sessions from the end, because the refreshes of the storm use
				// those from the start.
				return t.readProfile(ctx, c, len(t.sessions)-1-connection, n)
			})
		},
	})
}

// fairness measures the logins of one client alone, and then while another client signs
// in on 60 connections.
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

// logouts ends the sessions of earlier scenarios, each once. If they created no
// sessions, it signs in first.
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

// load returns a load of the plan's duration and rate.
func (t *trial) load(connections int) load {
	return load{connections: connections, duration: t.plan.For, rate: t.plan.Rate}
}

// warm runs a load for half of its time without measuring, and then measures
// the load. Just-in-time compilers and caches thus reach their usual state
// first.
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

// loginAs signs in with the accounts in turn. client returns the address of a connection.
func (t *trial) loginAs(client func(connection int) string) func(context.Context, *conn, int, int) error {
	return func(ctx context.Context, c *conn, connection, n int) error {
		s, err := t.login(ctx, c, t.sessions[n%len(t.sessions)].user, client(connection))
		if err == nil {
			t.keep(s)
		}
		return err
	}
}

// together runs loads at the same time. It omits their processor time, because the server
// spends it on all of them.
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
