package bench

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in log-linear buckets, as HdrHistogram does. Each power of two has 128 buckets, so a
// percentile is at most 1/128 (0.8 %) too high. The zero value is an empty histogram. It is not safe for concurrent
// use, so each connection has its own histogram.
type Histogram struct {
	counts [buckets]uint32
	total  int
	max    time.Duration
}

const (
	subBits = 7
	sub     = 1 << subBits
	buckets = (64 - subBits) * sub
)

// Record counts one duration. It counts a negative one as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Add adds the counts of otherHistogram.
func (h *Histogram) Add(otherHistogram *Histogram) {
	for i, n := range otherHistogram.counts {
		h.counts[i] += n
	}
	h.total += otherHistogram.total
	h.max = max(h.max, otherHistogram.max)
}

// Count returns the number of recorded durations.
func (h *Histogram) Count() int { return h.total }

// Max returns the longest recorded duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Percentile returns a duration that at least p percent of the recorded durations do not exceed. The result is the
// upper bound of a bucket, but at most Max. It is 0 if the histogram is empty.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank := max(1, int(p/100*float64(h.total)+0.999999))
	seen := 0
	for i, n := range h.counts {
		if seen += int(n); seen >= rank {
			return min(upperBound(i), h.max)
		}
	}
	return h.max
}

// bucketOf returns the index of the bucket that counts a value. The index depends on the highest 8 bits of the value:
// the first bit selects the power of two, and the other 7 bits select one of its 128 buckets. Each value below 256
// has its own bucket.
func bucketOf(v uint64) int {
	shift := max(0, bits.Len64(v)-subBits-1)
	return min(shift<<subBits+int(v>>shift), buckets-1)
}

// upperBound returns the largest duration of a bucket.
func upperBound(bucket int) time.Duration {
	shift := max(0, bucket>>subBits-1)
	mantissa := uint64(bucket - shift<<subBits)
	return time.Duration((mantissa+1)<<shift - 1)
}
