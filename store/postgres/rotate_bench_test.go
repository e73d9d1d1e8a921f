package postgres_test

import (
	"fmt"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/store/storetest"
)

// BenchmarkRotate rotates sessions with 1, 4 and 64 concurrent clients, in a durable store with 10,000 sessions.
func BenchmarkRotate(b *testing.B) {
	const sessions = 10_000
	store := openStore(b, pgtest.New(b, "shared_buffers = 256MB").Database(b))
	storetest.FillSessions(b, store, sessions)
	generations := make([]int64, sessions)
	for _, clients := range []int{1, 4, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			b.ReportMetric(storetest.RotateMany(b, store, generations, clients), "rotations/s")
		})
	}
}
