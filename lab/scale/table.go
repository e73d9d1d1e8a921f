package scale

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Markdown returns the rows as a table for lab/scale/README.md.
func Markdown(rows []Row) string {
	var b strings.Builder
	b.WriteString("| sessions | fill factor | right after a checkpoint | later | one client, p50 / p99 | HOT | size |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s / %s | %s | %s |\n", english.Sprint(r.Sessions), r.fillFactor(),
			r.Phases[0], r.Phases[1], millis(r.P50), millis(r.P99), r.hot(),
			fmt.Sprintf("%s MB + %.0f %%", english.Sprint(int(r.Bytes>>20)), 100*r.Growth))
	}
	return b.String()
}

// String returns the phase as a cell: rotations per second, in parentheses the ratio to the first row and the spread,
// and bytes of write-ahead log per rotation.
func (p Phase) String() string {
	cell := fmt.Sprintf("%s/s (%.2f; %.2f)", english.Sprint(int(p.Rate)), p.Ratio, p.Spread)
	if p.LogBytes > 0 {
		cell += fmt.Sprintf(", %s B", english.Sprint(int(p.LogBytes)))
	}
	return cell
}

func (r Row) fillFactor() string {
	if r.FillFactor == 0 {
		return "as migrated"
	}
	return strconv.Itoa(r.FillFactor)
}

func (r Row) hot() string {
	if r.Phases[0].LogBytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*r.Hot)
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) + " ms"
}

// english formats numbers with commas, such as 1,234,567.
var english = message.NewPrinter(language.English)
