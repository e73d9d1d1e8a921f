// Command cmd compares Watchword with other authentication servers, in turn, on this
// machine. It prints Markdown tables of medians and of ratios to the first target.
//
//	go run ./lab/bench/cmd
//	go run ./lab/bench/cmd -targets ours-sqlite@main,ours-sqlite,bare -scenarios refresh,me
//	go run ./lab/bench/cmd -targets ours-sqlite+signing-alg=HS256+GOGC=400 -scenarios refresh -rate 2000
//
// Ctrl-C stops all servers that it started.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/watchword-auth/watchword/lab/bench"
)

func main() {
	plan := bench.Plan{Targets: bench.DefaultTargets}
	file := flag.String("json", "", "also write all rounds to this file")
	flag.Func("targets", "targets, separated by commas: NAME[@REVISION][+SETTING=VALUE…]; ratios refer to the first\n"+
		"names: "+strings.Join(bench.Names(), " "), words(&plan.Targets))
	flag.Func("scenarios", "scenarios, separated by commas (default all): "+strings.Join(bench.Scenarios(), " "),
		words(&plan.Scenarios))
	flag.IntVar(&plan.Rounds, "rounds", 3, "rounds for the medians")
	flag.DurationVar(&plan.For, "for", 1500*time.Millisecond, "duration of one load")
	flag.IntVar(&plan.Connections, "connections", 64, "connections for refresh and me")
	flag.IntVar(&plan.Logins, "logins", 16, "connections for sign-up and login")
	flag.Float64Var(&plan.Rate, "rate", 0, "operations per second in sign-up, login, refresh and me; 0: closed loop")
	flag.IntVar(&plan.Cores, "cores", 0, "processors that each server may use; 0: all")
	flag.StringVar(&plan.Dir, "dir", "/var/tmp", "folder on a disk for databases and binaries")
	flag.Parse()
	if err := plan.Check(); flag.NArg() > 0 || err != nil {
		fmt.Fprintln(os.Stderr, err)
		flag.Usage()
		os.Exit(2)
	}
	// SIGPIPE is handled, because it would end the program before it has removed its files. It occurs if the output
	// is a pipe whose reader has ended.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP,
		syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, plan, *file); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plan bench.Plan, file string) error {
	progress, warn := newReporters()
	began := time.Now()
	results, err := bench.Run(ctx, plan, progress, warn)
	progress("")
	if err != nil {
		return err
	}
	machine := bench.ThisMachine(ctx)
	fmt.Printf("%d × %s, %s, revision %s, %d rounds of %v, took %v\n", machine.CPUs, machine.Model, machine.Go,
		machine.Revision, plan.Rounds, plan.For, time.Since(began).Round(time.Second))
	if plan.Cores > 0 {
		fmt.Printf("each server runs on %d of the processors; its PostgreSQL runs on all of them\n", plan.Cores)
	}
	fmt.Print(bench.Markdown(results))
	if file != "" {
		text, err := json.MarshalIndent(map[string]any{
			"machine": machine, "plan": plan, "results": results, "began": began,
		}, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	for _, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s failed", r.Target)
		}
	}
	return nil
}

func words(into *[]string) func(string) error {
	return func(text string) error {
		*into = strings.Split(text, ",")
		return nil
	}
}

// newReporters returns two functions: showStep shows the current step, and writeLine writes a line. On a terminal, a
// step overwrites the previous step.
func newReporters() (showStep, writeLine func(string)) {
	format, clear := "\r\x1b[K%s", "\r\x1b[K"
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		format, clear = "%s\n", ""
	}
	return func(step string) { fmt.Fprintf(os.Stderr, format, step) },
		func(line string) { fmt.Fprintf(os.Stderr, "%s%s\n", clear, line) }
}
