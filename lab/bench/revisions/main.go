// Command revisions runs the Go benchmarks of a git revision and of the current files in turn, and prints benchstat's
// table.
//
//	go run ./lab/bench/revisions -base main -bench 'Refresh|Rotate' . ./store/sqlite
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/watchword-auth/watchword/lab/bench"
)

func main() {
	var r bench.Revisions
	flag.StringVar(&r.Base, "base", "", "revision to compare with")
	flag.StringVar(&r.Pattern, "bench", ".", "which benchmarks")
	flag.StringVar(&r.Time, "benchtime", "300ms", "time of one run")
	flag.IntVar(&r.Runs, "runs", 6, "runs of each benchmark and revision")
	flag.StringVar(&r.Dir, "dir", "/var/tmp", "folder for the source and binaries of both revisions")
	flag.Parse()
	if r.Packages = flag.Args(); len(r.Packages) == 0 {
		r.Packages = []string{"./..."}
	}
	if r.Base == "" || r.Runs < 1 {
		fmt.Fprintln(os.Stderr, "name a revision with -base")
		flag.Usage()
		os.Exit(2)
	}
	// SIGPIPE is handled, because it would end the program before it has removed its files. It occurs if the output
	// is a pipe whose reader has ended.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP,
		syscall.SIGPIPE)
	defer stop()
	progress := func(step string) { fmt.Fprintln(os.Stderr, step) }
	if err := bench.CompareRevisions(ctx, r, os.Stdout, progress); err != nil {
		fmt.Fprintln(os.Stderr, "compare revisions:", err)
		os.Exit(1)
	}
}
