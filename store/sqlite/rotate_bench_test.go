package sqlite_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/watchword-auth/watchword/store/storetest"
)

// BenchmarkRotate rotates random sessions, with the two charges of a refresh: one request at a time, and 64
// concurrently. The store has 10,000 sessions. If WATCHWORD_BENCH_SESSIONS is set, the benchmark also runs with that
// number of sessions. It reports the rate, and its ratio to the rate with 10,000 sessions.
func BenchmarkRotate(b *testing.B) {
	sizes := []int{10_000}
	if more, err := strconv.Atoi(os.Getenv("WATCHWORD_BENCH_SESSIONS")); err == nil {
		sizes = append(sizes, more)
	}
	rates := map[int]float64{}
	for _, sessions := range sizes {
		store := openStore(b, newDatabasePath(b))
		storetest.FillSessions(b, store, sessions)
		generations := make([]int64, sessions)
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("sessions=%d/clients=%d", sessions, clients), func(b *testing.B) {
				rate := storetest.RotateMany(b, store, generations, clients)
				b.ReportMetric(rate, "rotations/s")
				if sessions == sizes[0] {
					rates[clients] = rate
				}
				b.ReportMetric(rate/rates[clients], "of-rate-on-10k")
			})
		}
	}
}
