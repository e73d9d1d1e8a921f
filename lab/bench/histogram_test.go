package bench_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/lab/bench"
)

func TestHistogramPercentileIsAtMostOneBucketAboveTheExactOne(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var h bench.Histogram
	var exact []time.Duration
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		exact = append(exact, d)
		h.Record(d)
	}
	slices.Sort(exact)
	for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
		want := exact[max(0, min(len(exact)-1, int(p/100*float64(len(exact))+0.999999)-1))]
		got := h.Percentile(p)
		if got < want || float64(got) > float64(want)*(1+1.0/128)+1 {
			t.Errorf("percentile %v is %v, want %v and at most 1/128 more", p, got, want)
		}
	}
	if h.Max() != exact[len(exact)-1] || h.Count() != len(exact) {
		t.Errorf("max %v, count %d", h.Max(), h.Count())
	}
}

func TestHistogramCountsExtremeDurations(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 1, 127, 128, 255, 256, 257, time.Hour, 1<<63 - 1} {
		var h bench.Histogram
		h.Record(d)
		if got := h.Percentile(50); got != d {
			t.Errorf("the only duration is %v, percentile 50 is %v", d, got)
		}
	}
	var h bench.Histogram
	if h.Percentile(99) != 0 {
		t.Errorf("an empty histogram has percentile %v", h.Percentile(99))
	}
	h.Record(-time.Second)
	if h.Percentile(99) != 0 || h.Count() != 1 {
		t.Errorf("a negative duration: %v, %d", h.Percentile(99), h.Count())
	}
}

func TestHistogramAddCountsBoth(t *testing.T) {
	t.Parallel()
	var a, b bench.Histogram
	a.Record(time.Millisecond)
	b.Record(time.Second)
	a.Add(&b)
	if a.Count() != 2 || a.Max() != time.Second || a.Percentile(50) > 2*time.Millisecond ||
		a.Percentile(100) != time.Second {
		t.Errorf("count %d, max %v, median %v", a.Count(), a.Max(), a.Percentile(50))
	}
}
