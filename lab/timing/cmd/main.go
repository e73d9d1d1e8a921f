// Command cmd measures whether response times reveal who has an account. It prints a table. If any response time
// reveals it, the exit status is 1.
//
//	go run ./lab/timing/cmd -samples 1000
//
// It takes some minutes, and the machine should be mostly idle.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/watchword-auth/watchword/lab/timing"
)

func main() {
	samples := flag.Int("samples", 1000, "calls with and without an account, for each trial; at least 300")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed for the order of the calls")
	only := flag.String("only", "", "part of the names of the trials to run; default: all")
	flag.Parse()
	if flag.NArg() > 0 || *samples < 300 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reveals, err := printTable(ctx, *only, *samples, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
	}
	if err != nil || reveals {
		os.Exit(1)
	}
}

// printTable prints row by row and reports whether any trial reveals who has an account.
func printTable(ctx context.Context, only string, samples int, seed uint64) (reveals bool, err error) {
	trials, err := timing.Trials()
	if err != nil {
		return false, err
	}
	fmt.Print(timing.Header)
	for _, trial := range trials {
		if !strings.Contains(trial.Name, only) {
			continue
		}
		row, err := timing.Run(ctx, trial, os.TempDir(), samples, seed)
		if err != nil {
			return false, err
		}
		fmt.Print(row)
		reveals = reveals || row.Reveals()
	}
	if reveals {
		fmt.Printf("\nA |t| of %.1f or more reveals who has an account.\n", timing.Threshold)
	}
	return reveals, nil
}
