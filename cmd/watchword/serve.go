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

// serveCmd runs the server: listen, open, answer, and on SIGTERM or Ctrl-C drain.
type serveCmd struct{}

// drainTime is how long open requests may take to finish.
const drainTime = 10 * time.Second

func (c *serveCmd) Run(p *program) error {
	started := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.sources.faults(p.settings); err != nil {
		return err
	}
	log := p.logger()
	doors, err := listen(p.settings)
	if err != nil {
		return err
	}
	defer doors.close()
	s, err := p.openWith(ctx, log)
	if err != nil {
		return err
	}
	defer s.close()
	if err := doors.install(p.settings, s, log); err != nil {
		return err
	}
	warnings := append(p.settings.warnings(), storeWarnings(ctx, s.store)...)
	for _, warning := range warnings {
		log.Warn(strings.ReplaceAll(warning, "\n ", ""))
	}
	work, rest := context.WithCancel(context.Background())
	worked := make(chan struct{})
	go func() { defer close(worked); s.engine.Run(work) }()
	go logDamage(work, s.store, log)
	broken := doors.serve()
	took := time.Since(started)
	log.Info("ready", slog.String("version", thisBuild().Version), slog.String("public_url", p.settings.PublicURL),
		slog.String("listen", p.settings.Listen), slog.String("took", took.String()))
	if onTerminal(p.out) {
		welcome(p.out, p.settings, took, warnings)
	}

	select {
	case <-ctx.Done():
		stop() // a second signal ends it at once
		log.Info("draining", "delay", p.settings.DrainDelay.String(), "at_most", drainTime.String())
		err = doors.announce(p.settings.DrainDelay, broken)
	case err = <-broken:
	}
	doors.drain(log)
	rest()
	<-worked
	log.Info("stopped")
	return err
}
