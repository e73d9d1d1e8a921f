// Command cmd prints what the time of answers tells about who has an account, and
// ends with 1 if it tells anything.
//
//	go run ./lab/timing/cmd -samples 1000
//
// It needs a machine that does little else, and some minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/watchword-auth/watchword/lab/timing"
)

func main() {
	samples := flag.Int("samples", 1000, "questions of each kind, 300 or more")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the order in which they are asked")
	flag.Parse()
	if flag.NArg() > 0 || *samples < 300 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	told, err := run(ctx, *samples, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
	}
	if err != nil || told {
		os.Exit(1)
	}
}

// run prints the table, a line as soon as it is known, and returns whether any time
// tells.
func run(ctx context.Context, samples int, seed uint64) (told bool, err error) {
	trials, err := timing.Trials()
	if err != nil {
		return false, err
	}
	fmt.Print(timing.Header)
	for _, trial := range trials {
		row, err := timing.Run(ctx, trial, os.TempDir(), samples, seed)
		if err != nil {
			return false, err
		}
		fmt.Print(row)
		told = told || row.Tells()
	}
	if told {
		fmt.Printf("\nA |t| of %.1f or more tells who has an account.\n", timing.Telling)
	}
	return told, nil
}
