package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// This file prints results: a table for operators, JSON for scripts. The columns of
// a table may change; the members of the JSON are an interface and only grow.

// A table collects rows, of which the first is the header.
type table struct{ rows [][]string }

// newTable returns a table with a header in capitals, which sets it apart from the rows.
func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

// row adds one row with a cell for each column. The cells are printed as text, never as a format.
// The number of cells is not checked, because every caller has its header a few lines above.
func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// printTable aligns the columns and prints "-" for an empty cell. Cells hold texts of strangers,
// such as user agents, so it replaces control characters, which could move the cursor of the
// terminal. A cell is never cut: operators copy ids from it.
func (p *program) printTable(t *table) error {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = printable(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// printable replaces control characters and bidirectional controls with U+FFFD, so that a text can't contain an escape
// sequence (LOG-2). It leaves other scripts and emoji alone, which are common in names.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return '\ufffd'
		}
		return r
	}, text)
}

// printJSON prints one document. It does not escape <, > and &, because no browser reads it. The
// error is that of the output, such as a full disk, and gives exit code 1: a script must not take
// half a document for a result.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say prints one line of the result. It makes texts among args printable, because strangers have chosen some of them.
// A failed write, such as a closed pipe, is ignored: the change itself was made, and the exit code must say so. Line
// breaks are part of format, never of an argument.
func (p *program) say(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = printable(text)
		}
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// clock formats a time for a table: UTC, to the second. The zero time is "". Times in UTC can be
// compared with the log, whatever the time zone of the terminal is.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// stamp returns a time for JSON, in UTC. The zero time is nil, which JSON shows as null.
// Milliseconds are kept, because scripts compare these times with those of the API.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
