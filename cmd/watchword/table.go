package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// This file prints results: a table for operators, JSON for scripts. The columns of a table may
// change; the members of the JSON are an interface and only grow.

// A table collects rows. The first row is the header.
type table struct{ rows [][]string }

// newTable returns a table with a header. Callers write the header in capitals, which
// distinguishes it from the rows.
func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

// addRow prints the cells as text, never as a format. The number of cells is not checked,
// because every caller creates the header a few lines above.
func (t *table) addRow(cells ...string) { t.rows = append(t.rows, cells) }

// printTable aligns the columns and prints "-" for an empty cell. Cells contain texts of
// strangers, such as user agents. printTable replaces control characters in them, which could
// otherwise move the cursor of the terminal. A cell is never cut, because operators copy ids
// from it.
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

// printable replaces control characters and bidirectional controls with U+FFFD, so that a text
// can't contain an escape sequence (LOG-2). Letters of all scripts and emoji stay unchanged,
// because they are common in names.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return '\ufffd'
		}
		return r
	}, text)
}

// printJSON prints one document. It does not escape <, > and &, because no browser reads it. An
// error of the output, such as a full disk, gives exit code 1, so that a script does not use an
// incomplete document.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say prints one line of the result. It makes texts among args printable, because strangers
// have chosen some of these texts. A failed write, such as to a closed pipe, is ignored: the
// command has made its change, and the exit code must be 0. Line breaks are part of format,
// never of an argument.
func (p *program) say(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = printable(text)
		}
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// tableTime is in UTC, to the second, so that an operator can compare it with the log. For the
// zero time, it returns "".
func tableTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// jsonTime is in UTC. For the zero time, it returns nil, which JSON shows as null. It keeps
// milliseconds, because scripts compare these times with those of the API.
func jsonTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
