package main_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// This file prints how each injected fault affects clients, as one table at the end of the run (docs/faults.md).
// `make faults` runs these tests.

// tableVariable names the environment variable with the path of the file to which the tests append their lines.
const tableVariable = "TEST_FAULT_TABLE"

// A fault is an injected fault and its effects, as one line of the table.
type fault struct {
	t    *testing.T
	name string

	// killsServers allows requests without a response. Without it, a request may fail only with 503.
	killsServers bool

	mu                      sync.Mutex
	rounds, requests        int
	unavailable, unanswered int
	detectedReuses          int // of refresh tokens
	brokenPromises          int // of docs/faults.md
	away                    []time.Duration
}

// newFault returns a fault whose line is written to the table when the test ends.
func newFault(t *testing.T, name string) *fault {
	f := &fault{t: t, name: name}
	t.Cleanup(f.writeTableLine)
	return f
}

// The variable SOAK_ROUNDS takes precedence over defaultRounds.
func soakRounds(defaultRounds int) int {
	if longer, err := strconv.Atoi(os.Getenv("SOAK_ROUNDS")); err == nil {
		return longer
	}
	return defaultRounds
}

// countRequest also increments the counter requests if that is not nil.
func (f *fault) countRequest(requests *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if requests != nil {
		*requests++
	}
}

// The promises are in docs/faults.md.
func (f *fault) reportBrokenPromise(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.brokenPromises++
	err := fmt.Errorf(format, args...)
	f.t.Error(err)
	return err
}

// outage is the time from the fault until each client had a response.
func (f *fault) endRound(outage time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rounds++
	f.away = append(f.away, outage)
}

func (f *fault) writeTableLine() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.t.Failed() {
		f.brokenPromises = max(f.brokenPromises, 1)
	}
	recovered := "-"
	if len(f.away) > 0 {
		slices.Sort(f.away)
		recovered = fmt.Sprintf("%s, %s", seconds(f.away[len(f.away)/2]), seconds(f.away[len(f.away)-1]))
	}
	line := fmt.Sprintf("| %s\t| %d\t| %d\t| %d\t| %d\t| %s\t| %d\t| %d\t|\n", f.name, f.rounds, f.requests,
		f.unavailable, f.unanswered, recovered, f.detectedReuses, f.brokenPromises)
	f.t.Log(line)
	file, err := os.OpenFile(os.Getenv(tableVariable), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer file.Close() //nolint:errcheck // an error of Close does not matter in a test
	if _, err := file.WriteString(line); err != nil {
		f.t.Error(err)
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func printTable(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(lines)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprint(w, "\n"+
		"| fault\t| rounds\t| requests\t| 503\t| no answer\t| recovery: median, longest\t| reuses found\t"+
		"| promises broken\t|\n",
		"| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|\n",
		strings.Join(lines, "\n"), "\n\n")
	w.Flush() //nolint:errcheck // an error of Flush does not matter in a test
}
