package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// serveCmd runs the server in this order:
//
//  1. Check the settings and open the listeners. A taken port is the most common fault, so it is
//     found before the store is opened and migrated.
//  2. Open the store and the engine, and install the HTTP edge on the listeners.
//  3. Serve requests and run the engine's background work.
//  4. On SIGTERM or Ctrl-C, report "not ready" for drain-delay, so that load balancers stop sending
//     requests. Then close the listeners and wait up to drainTime for open requests.
//  5. Stop the background work and close the store. A second signal ends the program at once.
type serveCmd struct{}

// drainTime bounds the wait for open requests. Kubernetes kills a container after 30 seconds,
// so drain-delay and drainTime together must be less. drainTime also bounds how long a
// deployment waits for one slow client.
const drainTime = 10 * time.Second

// Run returns nil after a signal, even if requests were cut off, because a service manager
// would otherwise report each stop as a failure. An error before "ready" gives exit code 1, and
// the service manager may try again.
func (c *serveCmd) Run(p *program) error {
	started := time.Now()
	// Signals are caught from the beginning, because a start that migrates the database can
	// take minutes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.sources.allFaults(p.settings); err != nil {
		return err
	}
	p.settings.tuneRuntime()
	log := p.newLogger()
	listeners, err := openListeners(p.settings)
	if err != nil {
		return err
	}
	defer listeners.close()
	s, err := p.openWithLog(ctx, log)
	if err != nil {
		return err
	}
	defer s.close()
	if err := listeners.installHTTPEdge(p.settings, s, log); err != nil {
		return err
	}
	// Warnings are logged at each start, because the current operator may not be the person who
	// wrote the settings.
	warnings := append(p.settings.warnings(), storeWarnings(ctx, s.store)...)
	for _, warning := range warnings {
		log.Warn(strings.ReplaceAll(warning, "\n ", ""))
	}
	// background is not derived from ctx, because the background work must continue while
	// requests drain. These requests may still write mails and end sessions.
	background, stopBackground := context.WithCancel(context.Background())
	backgroundDone := make(chan struct{})
	go func() { defer close(backgroundDone); s.engine.Run(background) }()
	go logDamage(background, s.store, log)
	failed := listeners.startServing()
	took := time.Since(started)
	log.Info("ready", slog.String("version", thisBuild().Version), slog.String("public_url", p.settings.PublicURL),
		slog.String("listen", p.settings.Listen), slog.String("took", took.String()))
	// The banner is for a person at a terminal. A service manager gets only the log.
	if onTerminal(p.out) {
		printBanner(p.out, p.settings, took, warnings)
	}

	select {
	case <-ctx.Done():
		stop() // a second signal then ends the program at once
		log.Info("draining", "delay", p.settings.DrainDelay.String(), "at_most", drainTime.String())
		err = listeners.announceDrain(p.settings.DrainDelay, failed)
	case err = <-failed:
	}
	// Requests use the engine, and the engine uses the store. Requests therefore end first,
	// then the engine, and then the store (deferred).
	listeners.drain(log)
	stopBackground()
	<-backgroundDone
	log.Info("stopped")
	return err
}
