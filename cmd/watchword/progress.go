package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Bars for people who wait. Scripts see nothing of them.

// progress shows a bar of so many rows to people, and nothing to scripts.
func (p *program) progress(rows int) func(doing string, rows int) {
	bar := p.bar(int64(rows), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(p.err) }))
	if bar == nil {
		return func(string, int) {}
	}
	return func(doing string, rows int) {
		if rows == 0 {
			return // after the end it would draw another
		}
		bar.Describe(fmt.Sprintf("%-20s", doing))
		bar.Add(rows) //nolint:errcheck // a bar that can't be drawn stops no move
	}
}

// bar is nil unless the errors go to a terminal. A size of -1 is not known.
func (p *program) bar(size int64, more ...progressbar.Option) *progressbar.ProgressBar {
	if !onTerminal(p.err) {
		return nil
	}
	return progressbar.NewOptions64(size, append(more,
		progressbar.OptionSetWriter(p.err), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100*time.Millisecond))...)
}

// A pace is a bar of the bytes of a file with the accounts in it counted, and how
// many a second. The zero value shows nothing.
type pace struct {
	bar   *progressbar.ProgressBar
	size  int64
	doing string
	since time.Time
}

func (p *program) pace(doing string, size int64) *pace {
	return &pace{bar: p.bar(size), size: size, doing: doing, since: time.Now()}
}

// at is where the work is.
func (b *pace) at(offset int64, accounts int) {
	if b.bar == nil {
		return
	}
	b.bar.Describe(fmt.Sprintf("%s %d accounts, %.0f/s", b.doing, accounts, float64(accounts)/time.Since(b.since).Seconds()))
	if b.size > 0 {
		offset = min(offset, b.size-1) // at its end a bar is done, and these are only the bytes that were taken in
	}
	b.bar.Set64(offset) //nolint:errcheck // a bar that can't be drawn stops no work
}

// aside makes room for a line, or for what comes after the work.
func (b *pace) aside() {
	if b.bar != nil {
		b.bar.Clear() //nolint:errcheck // as above
	}
}
