package storetest

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/ratelimit"
)

// FillSessions inserts a number of sessions, four for each user.
func FillSessions(b *testing.B, store watchword.Store, sessions int) {
	b.Helper()
	const batch, perUser = 10_000, 4
	for first := 0; first < sessions; first += batch {
		err := store.Update(b.Context(), func(tx watchword.Tx) error {
			for n := first; n < min(first+batch, sessions); n++ {
				if err := fillSession(b.Context(), tx, n, perUser); err != nil {
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

func fillSession(ctx context.Context, tx watchword.Tx, n, perUser int) error {
	if n%perUser == 0 {
		if _, err := tx.InsertUser(ctx, User(n), Start); err != nil {
			return err
		}
	}
	return tx.InsertSession(ctx, Session(User(n-n%perUser).ID, n))
}

// RotateMany makes b.N rotations, with the two charges of a refresh, and returns the rotations per second. Each
// client rotates its own sessions, which are spread over the table. generations contains the generation of each
// session that FillSessions inserted.
func RotateMany(b *testing.B, store watchword.Store, generations []int64, clients int) (rate float64) {
	b.ReportAllocs()
	var taken atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for client := range clients {
		all.Go(func() {
			sessionsPerClient := len(generations) / clients
			for i := taken.Add(1); i <= int64(b.N); i = taken.Add(1) {
				// A pseudo-random order reaches many storage pages.
				n := client*sessionsPerClient + int(i*7919)%sessionsPerClient
				one := Session("", n)
				one.Generation = generations[n]
				r := Rotate(one, Start.Add(time.Duration(i)*time.Millisecond))
				r.Charges = []watchword.Charge{
					{Key: ratelimit.Key("refresh_client", strconv.Itoa(n)), Cost: 1, Span: time.Minute, At: r.At},
					{Key: ratelimit.Key("refresh", string(one.ID)), Cost: 1, Span: time.Minute, At: r.At},
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
