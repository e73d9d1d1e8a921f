// Command cmd prints the tables of docs/rotation.md and lab/rotation/README.md. They
// compare how rotation policies for refresh tokens treat honest users and thieves.
//
//	go run ./lab/rotation/cmd
//	go run ./lab/rotation/cmd -grace 30s -clean 3 -seed 7
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/lab/rotation"
)

func main() {
	var size rotation.Size
	var policy watchword.RotationPolicy
	flag.IntVar(&size.Refreshes, "refreshes", 2_000_000, "refreshes of honest users, for each policy and loss rate")
	flag.IntVar(&size.Thieves, "thieves", 10_000, "thieves, for each policy and kind of thief")
	flag.Uint64Var(&size.Seed, "seed", 1, "the same seed and sizes give the same tables")
	flag.DurationVar(&policy.Grace, "grace", 10*time.Second, "Watchword's policy: the setting refresh-grace")
	flag.Int64Var(&policy.Clean, "clean", 1, "Watchword's policy: the setting rotation-clean")
	flag.Parse()
	if flag.NArg() > 0 || size.Refreshes < 1 || size.Thieves < 1 {
		flag.Usage()
		os.Exit(2)
	}

	began := time.Now()
	err := rotation.WriteTables(os.Stdout, rotation.Policies(policy), size, showProgress())
	if err != nil {
		fmt.Fprintln(os.Stderr, "write the tables:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%d refreshes and %d thieves per cell, seed %d, in %v\n",
		size.Refreshes, size.Thieves, size.Seed, time.Since(began).Round(time.Second/10))
}

// showProgress returns a function that updates one line of the terminal. If standard error is not a terminal, the
// function has no effect.
func showProgress() func(done, of int, cell string) {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(int, int, string) {}
	}
	return func(done, total int, cell string) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%3d %%  %s", 100*done/total, cell)
		if done == total {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
		}
	}
}
