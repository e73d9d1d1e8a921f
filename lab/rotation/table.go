package rotation

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// lossProbabilities has one column for each probability that a response is lost.
var lossProbabilities = []float64{0.001, 0.01, 0.05}

// A Size is the number of simulated users and thieves, and the seed.
type Size struct {
	Refreshes int    // of honest users, per policy and loss rate
	Thieves   int    // per policy and kind of thief
	Seed      uint64 // equal seeds and sizes give equal tables
}

// WriteTables runs all simulations and writes two Markdown tables: the comparison in docs/rotation.md and the thieves
// in lab/rotation/README.md. Before each cell, it calls progress with the number of finished cells, the total and the
// cell's name.
func WriteTables(w io.Writer, policies []Policy, size Size, progress func(done, total int, cell string)) error {
	kinds := Thieves()
	done, total := 0, len(policies)*(len(lossProbabilities)+len(kinds))
	step := func(cell ...string) {
		progress(done, total, strings.Join(cell, ": "))
		done++
	}

	comparison := [][]string{{"policy",
		"wrongful sign-outs per million refreshes at " + percents(lossProbabilities) + " loss",
		"thief's refreshes before detection: median, 99th percentile", "never detected in " + english.Sprint(MaxAnswered)}}
	chases := [][]string{{"thief"}}
	for _, kind := range kinds {
		chases = append(chases, []string{kind.Name})
	}
	for _, p := range policies {
		var rates []string
		for _, loss := range lossProbabilities {
			step(p.Name, "honest users at "+percents([]float64{loss})+" loss")
			n := WrongfulSignOuts(p, loss, size.Refreshes, size.Seed)
			rates = append(rates, english.Sprint((n*1_000_000+size.Refreshes/2)/size.Refreshes))
		}
		chases[0] = append(chases[0], p.Name)
		for i, kind := range kinds {
			step(p.Name, "thieves "+kind.Name)
			f := SimulateThieves(p, kind, size.Thieves, size.Seed)
			chases[i+1] = append(chases[i+1], f.String())
			if i == 0 {
				comparison = append(comparison,
					[]string{p.Name, strings.Join(rates, " / "), f.percentiles(), percent(f.NeverDetected())})
			}
		}
	}
	step("done")
	_, err := io.WriteString(w, formatMarkdownTable(comparison)+"\n"+formatMarkdownTable(chases))
	return err
}

// String returns the result as a cell of the table of thieves.
func (f ThiefResult) String() string {
	switch {
	case f.found == 0:
		return "never found"
	case f.found == f.Thieves:
		return f.percentiles()
	case f.Answered(99) == MaxAnswered:
		return fmt.Sprintf("%s, never (%s)", english.Sprint(f.Answered(50)), percent(f.NeverDetected()))
	}
	return fmt.Sprintf("%s (%s never)", f.percentiles(), percent(f.NeverDetected()))
}

func (f ThiefResult) percentiles() string {
	return english.Sprint(f.Answered(50)) + ", " + english.Sprint(f.Answered(99))
}

func percents(shares []float64) string {
	var all []string
	for _, share := range shares {
		all = append(all, strconv.FormatFloat(share*100, 'g', 3, 64))
	}
	return strings.Join(all, " / ") + " %"
}

func percent(share float64) string {
	switch {
	case share == 0:
		return "0"
	case share < 0.1:
		return strconv.FormatFloat(share*100, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(share*100, 'f', 0, 64) + " %"
}

// english formats numbers with commas, such as 1,234,567.
var english = message.NewPrinter(language.English)

// formatMarkdownTable aligns the columns. The first row is the header.
func formatMarkdownTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("| " + strings.Repeat("-", width) + " ")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
