package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first SIGINT, SIGTERM or SIGHUP, so that a
// long command can finish its current step. A second signal ends the program at once. If SIGHUP
// was ignored at the start, as under nohup, it stays ignored. The caller must call the returned
// function, which restores the default action of the signals.
//
// Imports and exports call untilSignal. They stop between two batches, and a later run can
// continue an import. Other commands don't call it, so a signal ends them at once. This is
// safe, because each of their changes is one transaction.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop) // after the first signal, restores the default action
	return ctx, stop
}
