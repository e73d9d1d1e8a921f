// Command cmd prints the tables of lab/scale/README.md, which show the cost of a rotation with many sessions.
//
//	go run ./lab/scale/cmd -store sqlite:/var/tmp -sessions 10000,1000000
//	go run ./lab/scale/cmd -store 'postgres://localhost/postgres?pool_max_conns=32' \
//	  -sessions 100000 -fill-factors 100,90,70,50
//
// It creates databases called watchword_scale_… and drops them at the end, even after Ctrl-C. A million sessions need
// 1 GB of disk.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/watchword-auth/watchword/lab/scale"
)

func main() {
	plan := scale.Plan{Sessions: []int{10_000, 1_000_000}}
	limits := string(scale.NoLimits)
	flag.StringVar(&plan.Store, "store", "", "postgres://… with a user that may create databases, or sqlite:DIRECTORY")
	flag.Func("sessions", "numbers of sessions, separated by commas; ratios refer to the first (default 10000,1000000)",
		numbers(&plan.Sessions))
	flag.Func("fill-factors", "PostgreSQL only: fill factors of the table sessions, separated by commas",
		numbers(&plan.FillFactors))
	flag.IntVar(&plan.Clients, "clients", 64, "concurrent clients")
	flag.DurationVar(&plan.For, "for", 5*time.Second,
		"duration of each of three measurements: all clients, all clients again, one client")
	flag.IntVar(&plan.Rounds, "rounds", 3, "rounds for the medians, after one warm-up round")
	flag.StringVar(&limits, "limits", limits, "on or off; with on, a rotation charges two limits, as a refresh does")
	flag.Uint64Var(&plan.Seed, "seed", 1, "seed that selects the sessions")
	flag.Parse()
	plan.Limits = scale.Limits(limits)
	if flag.NArg() > 0 || plan.Check() != nil {
		fmt.Fprintln(os.Stderr, plan.Check())
		flag.Usage()
		os.Exit(2)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rows, err := scale.Run(ctx, plan, showProgress())
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	fmt.Print(scale.Markdown(rows))
}

func numbers(into *[]int) func(string) error {
	return func(text string) error {
		*into = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			*into = append(*into, n)
		}
		return nil
	}
}

// showProgress returns a function that updates one line of a terminal. If standard error is not a terminal, the
// function writes a line for each step.
func showProgress() func(string) {
	format := "\r\x1b[K%s"
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		format = "%s\n"
	}
	return func(step string) { fmt.Fprintf(os.Stderr, format, step) }
}
