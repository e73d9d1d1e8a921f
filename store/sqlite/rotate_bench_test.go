package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
	"github.com/watchword-auth/watchword/store/sqlite"
	"github.com/watchword-auth/watchword/store/storetest"
)

// BenchmarkRotate rotates random sessions with the two charges of a refresh: one at a time, and 64
// at once. The store has 10,000 sessions, and then WATCHWORD_BENCH_SESSIONS if that is set. The
// benchmark reports the rate, and its share of the rate with 10,000 sessions.
func BenchmarkRotate(b *testing.B) {
	sizes := []int{10_000}
	if more, err := strconv.Atoi(os.Getenv("WATCHWORD_BENCH_SESSIONS")); err == nil {
		sizes = append(sizes, more)
	}
	rates := map[int]float64{}
	for _, sessions := range sizes {
		store := open(b, newPath(b))
		fill(b, store, sessions)
		generations := make([]int64, sessions)
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("sessions=%d/clients=%d", sessions, clients), func(b *testing.B) {
				rate := rotateMany(b, store, generations, clients)
				b.ReportMetric(rate, "rotations/s")
				if sessions == sizes[0] {
					rates[clients] = rate
				}
				b.ReportMetric(rate/rates[clients], "of-rate-on-10k")
			})
		}
	}
}

func fill(b *testing.B, store *sqlite.Store, sessions int) {
	b.Helper()
	const batch, perUser = 10_000, 4
	for first := 0; first < sessions; first += batch {
		err := store.Update(b.Context(), func(tx watchword.Tx) error {
			for n := first; n < min(first+batch, sessions); n++ {
				if n%perUser == 0 {
					if _, err := tx.InsertUser(b.Context(), storetest.User(n), storetest.Start); err != nil {
						return err
					}
				}
				one := storetest.Session(storetest.User(n-n%perUser).ID, n)
				if err := tx.InsertSession(b.Context(), one); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// rotateMany has each client rotate sessions of its own, chosen at random.
func rotateMany(b *testing.B, store *sqlite.Store, generations []int64, clients int) (rate float64) {
	b.ReportAllocs()
	var taken atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for client := range clients {
		all.Go(func() {
			own := len(generations) / clients
			for i := taken.Add(1); i <= int64(b.N); i = taken.Add(1) {
				n := client*own + rand.IntN(own)
				one := storetest.Session("", n)
				one.Generation = generations[n]
				r := storetest.Rotate(one, storetest.Start.Add(time.Duration(i)*time.Millisecond))
				r.Charges = []watchword.Charge{
					{Key: ratelimit.Key("refresh", string(one.ID)), Cost: 1, Span: time.Minute, At: r.At},
					{Key: ratelimit.Key("refresh_client", strconv.Itoa(n%1000)), Cost: 1, Span: time.Minute, At: r.At},
				}
				got, err := store.Rotate(b.Context(), r)
				if err != nil || !got.Rotated {
					b.Errorf("session %d, generation %d: %+v, %v", n, generations[n], got, err)
					return
				}
				generations[n]++
			}
		})
	}
	all.Wait()
	return float64(b.N) / time.Since(start).Seconds()
}
