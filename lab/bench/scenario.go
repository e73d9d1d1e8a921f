package bench

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A scenario runs one or more loads and stores their figures.
type scenario struct {
	name            string
	hashesPasswords bool
	run             func(ctx context.Context, t *trial, into map[string]Figures) error
}

// scenarios contains the scenarios in the order in which a trial runs them. The scenario lone is the first, because
// it needs an idle server. The scenario logout is the last, because it ends the sessions of all earlier scenarios.
var scenarios = []scenario{
	{"lone", false, measureIdle},
	{"signup", true, measureSignUps},
	{"login", true, measureLogins},
	{"refresh", false, measureRefreshes},
	{"me", false, measureProfiles},
	{"storm", true, measureStorm},
	{"fairness", true, measureFairness},
	{"logout", true, measureLogouts},
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
	stormClients  = 16  // limit in storm for the connections that refresh, and for those that read
	crowdClients  = 60  // connections of the busy client in the scenario fairness
	crowdClient   = "10.9.9.9"
	besideClient  = "10.8.8.8"
	logoutClients = 16
)

// measureIdle measures refreshes and reads of profiles on one connection, while the server has no other load.
func measureIdle(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	one := load{connections: 1, duration: t.plan.For / 2}
	if into["lone refresh"], err = t.measureWarm(ctx, one, t.refreshOwn); err != nil {
		return err
	}
	into["lone me"], err = t.measureWarm(ctx, one, t.readProfile)
	return err
}

// measureSignUps measures sign-ups. A sign-up ends when the client has its tokens.
func measureSignUps(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["sign-up"], err = t.measureLoad(ctx, t.plannedLoad(t.plan.Logins),
		func(ctx context.Context, c *rawConn, connection, _ int) error {
			s, err := t.signUp(ctx, c, clientAddress(connection))
			if err == nil {
				t.keepSession(s)
			}
			return err
		})
	return err
}

func measureLogins(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["login"], err = t.measureLoad(ctx, t.plannedLoad(t.plan.Logins), t.loginAs(clientAddress))
	return err
}

// measureRefreshes measures refreshes. Each connection has one session and presents the token from its previous
// response.
func measureRefreshes(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["refresh"], err = t.measureWarm(ctx, t.plannedLoad(t.plan.Connections), t.refreshOwn)
	return err
}

func measureProfiles(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	into["me"], err = t.measureWarm(ctx, t.plannedLoad(t.plan.Connections), t.readProfile)
	return err
}

// measureStorm measures refreshes and reads of profiles at a low fixed rate, while 64 connections sign in
// continuously.
func measureStorm(ctx context.Context, t *trial, into map[string]Figures) error {
	clients := min(stormClients, t.plan.Connections/2) // half of the sessions refresh, half read profiles
	beside := load{connections: clients, duration: t.plan.For, perSecond: stormRate}
	return runTogether(ctx, into, map[string]func(context.Context) (Figures, error){
		"storm login": func(ctx context.Context) (Figures, error) {
			return t.measureLoad(ctx, load{connections: stormLogins, duration: t.plan.For}, t.loginAs(clientAddress))
		},
		"storm refresh": func(ctx context.Context) (Figures, error) { return t.measureLoad(ctx, beside, t.refreshOwn) },
		"storm me": func(ctx context.Context) (Figures, error) {
			return t.measureLoad(ctx, beside, func(ctx context.Context, c *rawConn, connection, n int) error {
				// Reads of profiles use sessions from the end of the list, because the refreshes use those from its
				// start.
				return t.readProfile(ctx, c, len(t.sessions)-1-connection, n)
			})
		},
	})
}

// measureFairness measures the logins of one client twice: first without other load, then while another client signs
// in on 60 connections.
func measureFairness(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	one := t.loginAs(func(int) string { return besideClient })
	into["fairness alone"], err = t.measureLoad(ctx, load{connections: 1, duration: t.plan.For / 2}, one)
	if err != nil {
		return err
	}
	return runTogether(ctx, into, map[string]func(context.Context) (Figures, error){
		"fairness crowd": func(ctx context.Context) (Figures, error) {
			return t.measureLoad(ctx, load{connections: crowdClients, duration: 2 * t.plan.For},
				t.loginAs(func(int) string { return crowdClient }))
		},
		"fairness beside": func(ctx context.Context) (Figures, error) {
			return t.measureLoad(ctx, load{connections: 1, duration: 2 * t.plan.For}, one)
		},
	})
}

// measureLogouts ends each session of the earlier scenarios once. If there are no such sessions, it signs in first.
func measureLogouts(ctx context.Context, t *trial, into map[string]Figures) (err error) {
	if t.target.kind.api.logout == nil {
		return nil
	}
	if len(t.spareSessions) == 0 {
		if _, err := t.measureLoad(ctx, t.plannedLoad(t.plan.Logins), t.loginAs(clientAddress)); err != nil {
			return err
		}
	}
	all := slices.Clone(t.spareSessions)
	once := load{connections: logoutClients, duration: time.Minute, maxOperations: len(all)}
	into["logout"], err = t.measureLoad(ctx, once,
		func(ctx context.Context, c *rawConn, connection, n int) error {
			_, err := t.sendChecked(ctx, c, t.target.kind.api.logout(all[n]), clientAddress(connection))
			return err
		})
	return err
}

// plannedLoad returns a load with the duration and the rate of the plan.
func (t *trial) plannedLoad(connections int) load {
	return load{connections: connections, duration: t.plan.For, perSecond: t.plan.Rate}
}

// measureWarm measures a load after a warm-up. In the warm-up, the same load runs for half of its time, so that
// just-in-time compilers and caches reach their usual state.
func (t *trial) measureWarm(ctx context.Context, l load,
	call func(ctx context.Context, c *rawConn, connection, n int) error) (Figures, error) {
	short := l
	short.duration /= 2
	if _, err := t.measureLoad(ctx, short, call); err != nil {
		return Figures{}, err
	}
	return t.measureLoad(ctx, l, call)
}

func (t *trial) refreshOwn(ctx context.Context, c *rawConn, connection, _ int) error {
	return t.refresh(ctx, c, t.sessions[connection], clientAddress(connection))
}

func (t *trial) readProfile(ctx context.Context, c *rawConn, connection, _ int) error {
	_, err := t.sendChecked(ctx, c, t.target.kind.api.me(t.sessions[connection]), clientAddress(connection))
	return err
}

// loginAs returns an operation that signs in with each account in turn. The function clientOfConnection returns the
// client address for a connection.
func (t *trial) loginAs(
	clientOfConnection func(connection int) string,
) func(context.Context, *rawConn, int, int) error {
	return func(ctx context.Context, c *rawConn, connection, n int) error {
		s, err := t.login(ctx, c, t.sessions[n%len(t.sessions)].user, clientOfConnection(connection))
		if err == nil {
			t.keepSession(s)
		}
		return err
	}
}

// runTogether runs several loads at the same time and stores their figures. It sets the processor time to 0, because
// the time can't be divided among the loads.
func runTogether(ctx context.Context, into map[string]Figures,
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
