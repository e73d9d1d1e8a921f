package scale

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Markdown is the table of docs/scale.md.
func Markdown(rows []Row) string {
	var b strings.Builder
	b.WriteString("| sessions | fill factor | rotations a second | of the first | fastest by slowest round | one client, p50 / p99 |" +
		" log of a rotation, after a checkpoint / later | page images | HOT | size, and growth |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f | %.2f | %s / %s | %s | %s | %s | %s |\n",
			thousands(r.Sessions), r.fillFactor(), thousands(int(r.Rate)), r.Of, r.Spread, millis(r.P50), millis(r.P99),
			r.log(), r.images(), r.hot(), fmt.Sprintf("%s MB + %.0f %%", thousands(int(r.Bytes>>20)), 100*r.Grown))
	}
	return b.String()
}

func (r Row) fillFactor() string {
	if r.FillFactor == 0 {
		return "as migrated"
	}
	return strconv.Itoa(r.FillFactor)
}

func (r Row) log() string {
	if r.Log[0].Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s B", thousands(int(r.Log[0].Bytes)), thousands(int(r.Log[1].Bytes)))
}

func (r Row) images() string {
	if r.Log[0].Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f / %.2f", r.Log[0].Images, r.Log[1].Images)
}

func (r Row) hot() string {
	if r.Log[0].Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*r.Hot)
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds()*1000, 'f', 2, 64) + " ms"
}

// thousands parts a number by commas, as 1,234,567.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
