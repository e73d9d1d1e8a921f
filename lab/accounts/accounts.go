// Package accounts measures how long an administrator waits for a list of accounts in a large database. It fills a
// database with SQL and calls admin.Manager.FindUsers as the administration API does.
//
// The figures are in README.md. `make accounts` repeats the measurement.
package accounts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword/admin"
)

// A Row contains the measurements of one list.
type Row struct {
	Name   string
	Items  int           // number of accounts on all measured pages
	Pages  int           // number of measured pages
	Median time.Duration // median time to read a page
	Slow   time.Duration // 99th percentile of the time to read a page
	Last   time.Duration // median time of the last 100 pages, or of all pages if there are fewer
}

// A search is a list of accounts that an administrator requests.
type search struct {
	name             string
	filter           admin.Filter
	measuresAllPages bool // measures up to maxPages pages; false: only the first page
}

const (
	firstPageRepeats = 30   // requests for the first page, if only this page is measured
	maxPages         = 5000 // limit for a search that measures all pages
)

// searches contains typical searches of administrators. Some prefixes and roles match few accounts, and others match
// many. Some filters match few accounts, so the search reads a large range to fill a page.
var searches = []search{
	{"all, first page", admin.Filter{}, false},
	{"all, every page to the end", admin.Filter{}, true},
	{"prefix of one account", admin.Filter{Email: "ab.user123"}, false},
	{"prefix of 1,500 accounts", admin.Filter{Email: "ab"}, false},
	{"prefix of 38,000 accounts, every page", admin.Filter{Email: "q"}, true},
	{"role of 3 accounts", admin.Filter{Role: "admin"}, false},
	{"role of 1 % of all, first page", admin.Filter{Role: "staff"}, false},
	{"role of half of all, every page", admin.Filter{Role: "member"}, true},
	{"role of half of all, with a short prefix", admin.Filter{Role: "member", Email: "ab"}, false},
	{"role of half of all, with a long prefix", admin.Filter{Role: "member", Email: "ab.user9"}, false},
	{"role of 3 accounts, with a short prefix", admin.Filter{Role: "admin", Email: "a"}, false},
	{"disabled (0.5 %), first page", admin.Filter{State: admin.StateDisabled}, false},
	{"disabled, 1,000 pages", admin.Filter{State: admin.StateDisabled}, true},
	{"unverified (5 %), first page", admin.Filter{State: admin.StateUnverified}, false},
	{"passkeys (2 %), first page", admin.Filter{Factor: admin.FactorPasskey}, false},
	{"selects no account", admin.Filter{State: admin.StateDisabled, Factor: admin.FactorPasskey}, false},
	{"selects no account, role of half of all",
		admin.Filter{State: admin.StateDisabled, Factor: admin.FactorPasskey, Role: "member"}, false},
	{"one account by id", admin.Filter{ID: idOf(4711)}, false},
}

// Measure measures each list. A page has at most limit accounts.
func Measure(ctx context.Context, m *admin.Manager, limit int) (rows []Row, err error) {
	for _, l := range searches {
		row, err := l.measure(ctx, m, limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (l search) measure(ctx context.Context, m *admin.Manager, limit int) (Row, error) {
	row, after := Row{Name: l.name}, ""
	var took []time.Duration
	for range maxPages {
		began := time.Now()
		page, err := m.FindUsers(ctx, l.filter, after, limit)
		if err != nil {
			return row, err
		}
		took = append(took, time.Since(began))
		row.Items += len(page.Items)
		if l.measuresAllPages {
			after = page.Next
		}
		if l.measuresAllPages && after == "" || !l.measuresAllPages && len(took) == firstPageRepeats {
			break
		}
	}
	last := slices.Sorted(slices.Values(took[max(len(took)-100, 0):]))
	row.Last = last[len(last)/2]
	slices.Sort(took)
	row.Pages, row.Median, row.Slow = len(took), took[len(took)/2], took[len(took)*99/100]
	return row, nil
}

// Worst returns a text for the log. It names the list with the largest median of all pages, and the list with the
// largest median of the last 100 pages. It compares all lists of all stores.
func Worst(stores []string, results [][]Row) string {
	var median, last Row
	var medianOn, lastOn string
	for i, rows := range results {
		for _, row := range rows {
			if row.Median > median.Median {
				median, medianOn = row, stores[i]
			}
			if row.Last > last.Last {
				last, lastOn = row, stores[i]
			}
		}
	}
	return fmt.Sprintf("largest median: %s (%s on %s, %d pages)\nlargest median of the last 100 pages: %s (%s on %s)\n",
		milliseconds(median.Median), median.Name, medianOn, median.Pages, milliseconds(last.Last), last.Name, lastOn)
}

// Markdown returns a table of all lists, with a column for each store.
func Markdown(stores []string, results [][]Row) string {
	var table strings.Builder
	fmt.Fprintf(&table, "| list | %s |\n|%s\n", strings.Join(stores, " | "), strings.Repeat(" --- |", len(stores)+1))
	for i, row := range results[0] {
		fmt.Fprintf(&table, "| %s |", row.Name)
		for _, rows := range results {
			fmt.Fprintf(&table, " %s / %s |", milliseconds(rows[i].Median), milliseconds(rows[i].Slow))
		}
		table.WriteString("\n")
	}
	return table.String()
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
