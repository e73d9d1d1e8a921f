package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress bars for an operator who waits. They are drawn on standard error, and only at a
// terminal, so they are not in the output of scripts or in log files.

// newRowProgress returns a function that advances the bar; doing names the current step.
// Without a terminal, the function has no effect, so callers need no condition.
func (p *program) newRowProgress(rows int) func(doing string, rows int) {
	bar := p.newBar(int64(rows), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("rows"),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(p.err) }))
	if bar == nil {
		return func(string, int) {}
	}
	return func(doing string, rows int) {
		if rows == 0 {
			return // adding 0 rows to a complete bar would draw the bar again
		}
		bar.Describe(fmt.Sprintf("%-20s", doing))
		bar.Add(rows) //nolint:errcheck // a failed drawing must not stop the move
	}
}

// newBar returns nil if standard error is not a terminal. A size of -1 means unknown. The bar
// is drawn at most ten times a second, because drawing it for each row would be slow.
func (p *program) newBar(size int64, more ...progressbar.Option) *progressbar.ProgressBar {
	if !onTerminal(p.err) {
		return nil
	}
	return progressbar.NewOptions64(size, append(more,
		progressbar.OptionSetWriter(p.err), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100*time.Millisecond))...)
}

// fileProgress shows the read part of a file, the number of accounts, and the accounts per
// second. The bar uses bytes, because the number of accounts is not known before the end.
// Without a terminal, terminalBar is nil and the methods do nothing, so callers need no check.
type fileProgress struct {
	terminalBar *progressbar.ProgressBar
	size        int64
	doing       string
	since       time.Time
}

// newFileProgress starts a bar for a file of size bytes; -1 means unknown, as for standard
// input and for an export. The bar then shows counts without an estimate.
func (p *program) newFileProgress(doing string, size int64) *fileProgress {
	return &fileProgress{terminalBar: p.newBar(size), size: size, doing: doing, since: time.Now()}
}

// update draws the bar at an offset in the file. The rate is the average since the start, which
// is steadier than the current rate.
func (b *fileProgress) update(offset int64, accounts int) {
	if b.terminalBar == nil {
		return
	}
	b.terminalBar.Describe(fmt.Sprintf("%s %d accounts, %.0f/s", b.doing, accounts,
		float64(accounts)/time.Since(b.since).Seconds()))
	if b.size > 0 {
		offset = min(offset, b.size-1) // the bar is not full before the last accounts are stored
	}
	b.terminalBar.Set64(offset) //nolint:errcheck // a failed drawing must not stop the import
}

// clear removes the bar from the screen before other output. The next update draws it again
// below.
func (b *fileProgress) clear() {
	if b.terminalBar != nil {
		b.terminalBar.Clear() //nolint:errcheck // a failed drawing must not stop the import
	}
}
