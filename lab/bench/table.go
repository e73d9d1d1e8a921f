package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// summarize computes two medians over all rounds for each figure: the median of the figure, and the median of its
// ratio to the first target's figure in the same round. A ratio over 1 always means that the first target is better
// (a higher rate, a shorter time or a lower cost).
func summarize(results []Result) {
	for i := range results {
		rounds, first := results[i].Rounds, results[0].Rounds
		if len(rounds) == 0 || results[i].Error != "" {
			continue
		}
		results[i].Median = medianRound(rounds, nil)
		if len(first) == len(rounds) {
			results[i].Ratio = medianRound(rounds, first)
		}
	}
}

// medianRound returns the median of each figure over all rounds. If base is not nil, it returns the medians of the
// ratios to the figures in base.
func medianRound(rounds, base []Round) Round {
	over := func(value func(Round) float64) float64 {
		values := make([]float64, 0, len(rounds))
		for i, r := range rounds {
			v := value(r)
			if base != nil {
				if v == 0 || value(base[i]) == 0 {
					continue // the figure was not measured
				}
				v /= value(base[i])
			}
			values = append(values, v)
		}
		// This is the median of ratios, not the ratio of medians. The two values of a ratio were measured within the
		// same minute, but medians could come from different rounds.
		return median(values)
	}
	rate := func(perSecond float64) float64 {
		if base != nil && perSecond > 0 {
			return 1 / perSecond // inverted, because a higher rate is better
		}
		return perSecond
	}
	all := Round{
		Figures:    map[string]Figures{},
		ReadyFirst: over(func(r Round) float64 { return r.ReadyFirst }),
		ReadyAgain: over(func(r Round) float64 { return r.ReadyAgain }),
		Idle:       over(func(r Round) float64 { return r.Idle }),
		Loaded:     over(func(r Round) float64 { return r.Loaded }),
		Peak:       over(func(r Round) float64 { return r.Peak }),
	}
	for name := range rounds[0].Figures {
		of := func(value func(Figures) float64) float64 {
			return over(func(r Round) float64 { return value(r.Figures[name]) })
		}
		all.Figures[name] = Figures{
			PerSecond: rate(of(func(f Figures) float64 { return f.PerSecond })),
			P50:       of(func(f Figures) float64 { return f.P50 }),
			P99:       of(func(f Figures) float64 { return f.P99 }),
			CPU:       of(func(f Figures) float64 { return f.CPU }),
			Count:     int(of(func(f Figures) float64 { return float64(f.Count) })),
			Refused:   int(of(func(f Figures) float64 { return float64(f.Refused) })),
		}
	}
	return all
}

// median returns 0 if there are no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A tableColumn is a column of a result table. Its cell is empty for a figure that was not measured.
type tableColumn struct {
	title      string
	cellValues func(Round) []float64 // separated by " / " in a cell
}

func figures(title, value string, names ...string) tableColumn {
	return tableColumn{title, func(r Round) (values []float64) {
		for _, name := range names {
			f := r.Figures[name]
			values = append(values, map[string]float64{
				"rate": f.PerSecond, "p50": f.P50, "p99": f.P99, "cpu": f.CPU,
			}[value])
		}
		return values
	}}
}

// tableColumns has one list for each table: rates, latencies and costs.
var tableColumns = [][]tableColumn{{
	figures("sign-up /s", "rate", "sign-up"),
	figures("login /s", "rate", "login"),
	figures("refresh /s", "rate", "refresh"),
	figures("me /s", "rate", "me"),
	figures("logout /s", "rate", "logout"),
	figures("storm: login /s", "rate", "storm login"),
}, {
	figures("login p50", "p50", "login"),
	figures("refresh p50", "p50", "refresh"),
	figures("refresh p99", "p99", "refresh"),
	figures("me p50", "p50", "me"),
	figures("me p99", "p99", "me"),
	figures("lone refresh / me p50", "p50", "lone refresh", "lone me"),
	figures("storm: refresh / me p99", "p99", "storm refresh", "storm me"),
	figures("fairness: login alone / beside p50", "p50", "fairness alone", "fairness beside"),
}, {
	figures("CPU s per 1,000: login / refresh / me", "cpu", "login", "refresh", "me"),
	{"MiB idle / loaded / peak", func(r Round) []float64 { return []float64{r.Idle, r.Loaded, r.Peak} }},
	{"ms to ready: first / again", func(r Round) []float64 { return []float64{r.ReadyFirst, r.ReadyAgain} }},
}}

// Markdown returns the tables of medians and of ratios, without columns that have no figures.
func Markdown(results []Result) string {
	var b strings.Builder
	titles := []string{"Operations per second", "Milliseconds", "Costs"}
	for i, title := range titles {
		writeTable(&b, title, tableColumns[i], results, func(r Result) Round { return r.Median })
	}
	for i, title := range titles {
		if len(results) == 1 {
			break
		}
		title += ": how many times better " + results[0].Target + " is (medians of the rounds' ratios)"
		writeTable(&b, title, tableColumns[i], results[1:], func(r Result) Round { return r.Ratio })
	}
	writeRefused(&b, results)
	return b.String()
}

func writeTable(b *strings.Builder, title string, all []tableColumn, results []Result, of func(Result) Round) {
	var used []tableColumn
	for _, c := range all {
		if slices.ContainsFunc(results, func(r Result) bool { return slices.Max(c.cellValues(of(r))) > 0 }) {
			used = append(used, c)
		}
	}
	if len(used) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n| target |", title)
	for _, c := range used {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(used)+1) + "\n")
	for _, r := range results {
		fmt.Fprintf(b, "| %s |", r.Target)
		for _, c := range used {
			fmt.Fprintf(b, " %s |", formatCell(c.cellValues(of(r))))
		}
		b.WriteString("\n")
	}
}

func formatCell(values []float64) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = formatNumber(v)
	}
	if slices.Max(values) == 0 {
		return ""
	}
	return strings.Join(texts, " / ")
}

// formatNumber shows three significant digits, but never rounds digits before the decimal point.
func formatNumber(v float64) string {
	switch {
	case v == 0:
		return "–"
	case v >= 100:
		return english.Sprint(int(v + 0.5))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// english formats numbers with commas, such as 1,234,567.
var english = message.NewPrinter(language.English)

// writeRefused lists the loads in which the server refused operations. Readers need this list, because the rate of a
// load includes only successful operations.
func writeRefused(b *strings.Builder, results []Result) {
	for _, r := range results {
		for _, name := range slices.Sorted(maps.Keys(r.Median.Figures)) {
			if f := r.Median.Figures[name]; f.Refused > 0 {
				fmt.Fprintf(b, "\n%s refused %d of %d in %q (429 or 503).\n", r.Target, f.Refused, f.Refused+f.Count, name)
			}
		}
	}
}
