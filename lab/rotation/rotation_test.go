package rotation_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/lab/rotation"
)

// These tests repeat the simulations of docs/rotation.md and lab/rotation/README.md with fewer users and thieves. The
// results must match those tables, with margins of about five standard deviations.

const (
	refreshes = 200_000
	thieves   = 2_000
	seed      = 7
)

// comparedPolicies is in the order of the tables: strict, grace 10 s, grace 60 s, parent good until child used, and
// Watchword's policy.
func comparedPolicies() []rotation.Policy {
	return rotation.Policies(watchword.RotationPolicy{Grace: 10 * time.Second, Clean: 1})
}

// RT-6
func TestWrongfulSignOutsMatchTheTable(t *testing.T) {
	t.Parallel()
	type signOutBounds struct{ least, most int } // per million refreshes
	expected := [][3]signOutBounds{              // by policy, for 0.1, 1 and 5 % loss
		{{850, 1150}, {9500, 10500}, {48700, 51300}},
		{{140, 300}, {1900, 2450}, {10800, 12000}},
		{{80, 200}, {1200, 1650}, {6800, 7850}},
		{{0, 0}, {0, 0}, {0, 0}},
		{{0, 5}, {0, 25}, {70, 200}},
	}
	for i, p := range comparedPolicies() {
		for j, loss := range []float64{0.001, 0.01, 0.05} {
			t.Run(p.Name, func(t *testing.T) {
				t.Parallel()
				n := rotation.WrongfulSignOuts(p, loss, refreshes, seed) * 1_000_000 / refreshes
				if want := expected[i][j]; n < want.least || n > want.most {
					t.Errorf("%d wrongful sign-outs per million refreshes at %g %% loss, want %d to %d", n, loss*100,
						want.least, want.most)
				}
			})
		}
	}
}

// RT-3, RT-13
func TestThievesAreDetectedAsTheTableShows(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it simulates many thieves")
	}
	const always, never = 0.0, 1.0
	type finding struct {
		median, most99 int // answered refreshes at percentiles 50 and 99
		neverFound     float64
		tolerance      float64 // maximum difference from neverFound
	}
	found := func(median, most99 int) finding { return finding{median, most99, always, 0} }
	all := finding{rotation.MaxAnswered, rotation.MaxAnswered, never, 0}
	some := func(median int, neverFound, tolerance float64) finding {
		return finding{median, rotation.MaxAnswered, neverFound, tolerance}
	}
	expected := map[string][5]finding{
		"as often as the user":          {found(0, 0), found(0, 2), found(0, 19), some(620, 0.36, 0.06), found(1, 4)},
		"three times as fast":           {found(0, 0), found(0, 4), found(0, 4), found(3, 6), found(3, 4)},
		"once only":                     {found(0, 0), some(0, 0.01, 0.012), some(0, 0.07, 0.03), all, all},
		"while the user sleeps":         {found(32, 33), found(32, 33), found(32, 33), found(32, 33), found(32, 33)},
		"always within 9 s of the user": {found(0, 0), all, all, all, all},
		"with another user agent":       {found(0, 0), found(0, 2), found(0, 19), some(620, 0.36, 0.06), found(0, 2)},
		"once, with another user agent": {found(0, 0), some(0, 0.01, 0.012), some(0, 0.07, 0.03), all,
			some(0, 0.01, 0.012)},
	}
	for _, kind := range rotation.Thieves() {
		for i, p := range comparedPolicies() {
			t.Run(kind.Name+"/"+p.Name, func(t *testing.T) {
				t.Parallel()
				row, listed := expected[kind.Name]
				if !listed {
					t.Fatal("the table of expected results lacks this thief")
				}
				want, got := row[i], rotation.SimulateThieves(p, kind, thieves, seed)
				if median := got.Answered(50); math.Abs(float64(median-want.median)) > 0.15*float64(want.median) {
					t.Errorf("median of answered refreshes: %d, want %d", median, want.median)
				}
				if n := got.Answered(99); n > want.most99 {
					t.Errorf("99th percentile of answered refreshes: %d, want at most %d", n, want.most99)
				}
				if share := got.NeverDetected(); math.Abs(share-want.neverFound) > want.tolerance {
					t.Errorf("share of thieves never detected: %g, want %g", share, want.neverFound)
				}
			})
		}
	}
}

func TestSameSeedGivesSameTables(t *testing.T) {
	t.Parallel()
	tables := func(seed uint64) string {
		var out strings.Builder
		cells := 0
		size := rotation.Size{Refreshes: 2000, Thieves: 20, Seed: seed}
		err := rotation.WriteTables(&out, comparedPolicies(), size, func(done, total int, _ string) {
			if done != cells || total != 5*(3+7) {
				t.Errorf("progress reports %d of %d at cell %d", done, total, cells)
			}
			cells++
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := tables(1)
	if first != tables(1) {
		t.Error("the same seed gave different tables")
	}
	if first == tables(2) {
		t.Error("different seeds gave the same tables")
	}
	for line := range strings.Lines(first) {
		if line != "\n" && (!strings.HasPrefix(line, "| ") || !strings.HasSuffix(line, " |\n")) {
			t.Errorf("not a table row: %q", line)
		}
	}
}
