// Command cmd prints the tables of docs/scale.md: what a rotation costs when
// there are many sessions.
//
//	go run ./lab/scale/cmd -store sqlite:/var/tmp -sessions 10000,1000000
//	go run ./lab/scale/cmd -store 'postgres://localhost/postgres?pool_max_conns=32' -sessions 100000 -fill-factors 100,90,70,50
//
// It makes databases called watchword_scale_… and drops them at the end, on
// Ctrl-C too. A million sessions take 1 GB of disk.
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
	flag.StringVar(&plan.Store, "store", "", "postgres://… of a server on which databases may be made, or sqlite:DIRECTORY")
	flag.Func("sessions", "sizes, parted by commas; ratios are to the first (default 10000,1000000)", numbers(&plan.Sessions))
	flag.Func("fill-factors", "PostgreSQL: each size with each of these fill factors of the table of sessions", numbers(&plan.FillFactors))
	flag.IntVar(&plan.Clients, "clients", 64, "that rotate at once")
	flag.DurationVar(&plan.For, "for", 5*time.Second, "of each measurement: all clients, again, and one alone")
	flag.IntVar(&plan.Rounds, "rounds", 3, "of which the medians are taken; one more warms up")
	flag.StringVar(&limits, "limits", limits, "on: a rotation charges two limits, as a refresh does; off")
	flag.Uint64Var(&plan.Seed, "seed", 1, "which sessions are rotated")
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

// showProgress writes over one line of the terminal, and line by line into a file.
func showProgress() func(string) {
	format := "\r\x1b[K%s"
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		format = "%s\n"
	}
	return func(doing string) { fmt.Fprintf(os.Stderr, format, doing) }
}
