package timing

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Threshold is the value of |t| from which a difference counts as real. Random variation alone reaches it less than
// once in 100,000 comparisons.
const Threshold = 4.5

// A Row is the result of a trial. T is computed without the slowest tenth of the times, because other work on the
// machine causes such times.
type Row struct {
	Name          string
	Without, With time.Duration // median times for addresses without and with an account
	Samples       int           // number of times per kind, including the slowest
	T             float64       // Welch's t; positive if calls with an account take longer
}

// Reveals reports whether the times reveal which addresses have an account.
func (r Row) Reveals() bool { return r.T >= Threshold || r.T <= -Threshold }

// Compare returns the row for two series of times, which must not be empty.
func Compare(name string, without, with []time.Duration) Row {
	all := slices.Sorted(slices.Values(append(slices.Clone(without), with...)))
	limit := all[len(all)*9/10]
	return Row{name, median(without), median(with), len(with), welchT(below(limit, without), below(limit, with))}
}

func below(limit time.Duration, took []time.Duration) (kept []float64) {
	for _, d := range took {
		if d <= limit {
			kept = append(kept, d.Seconds())
		}
	}
	return kept
}

func median(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}

// welchT returns the difference of the means of two samples in standard errors (Welch's t).
func welchT(a, b []float64) float64 {
	meanA, errorA := meanAndError(a)
	meanB, errorB := meanAndError(b)
	return (meanB - meanA) / math.Sqrt(errorA+errorB)
}

// meanAndError returns the mean of a sample and the square of the mean's standard error.
func meanAndError(sample []float64) (mean, squared float64) {
	n := float64(len(sample))
	for _, x := range sample {
		mean += x / n
	}
	for _, x := range sample {
		squared += (x - mean) * (x - mean) / (n - 1) / n
	}
	return mean, squared
}

// Header is the Markdown header of the table.
const Header = "| call | without an account | with an account | calls of each kind | t |\n" +
	"| --- | --- | --- | --- | --- |\n"

// String returns the row as a line of the table.
func (r Row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %d | %+.1f |\n", r.Name, millis(r.Without), millis(r.With), r.Samples, r.T)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
