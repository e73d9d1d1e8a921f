package timing_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/lab/timing"
)

func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault() // fast hashes, because no test compares times
	os.Exit(m.Run())
}

// Each trial must return the same code with and without an account. The test does not compare times, because this
// needs an idle machine (make timing).
//
// ID-2, ID-3, ID-4, SW-3
func TestTrialsReturnTheSameCodeWithAndWithoutAccount(t *testing.T) {
	t.Parallel()
	trials, err := timing.Trials()
	if err != nil {
		t.Fatal(err)
	}
	for i, trial := range trials {
		row, err := timing.Run(t.Context(), trial, t.TempDir(), 2, 1)
		if err != nil || row.Samples != 2 || row.Without <= 0 || row.With <= 0 {
			t.Errorf("%s: %+v, %v", trial.Name, row, err)
		}
		if i > 0 {
			continue
		}
		trial.Code = watchword.CodeNotFound
		if _, err := timing.Run(t.Context(), trial, t.TempDir(), 1, 1); err == nil {
			t.Errorf("%s: Run accepts a wrong code", trial.Name)
		}
	}
}

func TestCompareDetectsADifferenceOfOneMillisecond(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	series := func(mean time.Duration) (took []time.Duration) {
		for range 1000 { // times with a standard deviation of 3 ms, of which 5 % are much slower
			took = append(took, mean+time.Duration(rng.NormFloat64()*3e6)+time.Duration(rng.IntN(20)/19)*time.Second)
		}
		return took
	}
	if row := timing.Compare("the same", series(40*time.Millisecond), series(40*time.Millisecond)); row.Reveals() {
		t.Errorf("the same: %+v", row)
	}
	row := timing.Compare("a millisecond more", series(40*time.Millisecond), series(41*time.Millisecond))
	if !row.Reveals() || row.T < 0 {
		t.Errorf("%+v", row)
	}
	row = timing.Compare("a millisecond less", series(41*time.Millisecond), series(40*time.Millisecond))
	if !row.Reveals() || row.T > 0 {
		t.Errorf("%+v", row)
	}
	row = timing.Compare("computed by hand", []time.Duration{1, 2, 3, 4}, []time.Duration{2, 3, 4, 5})
	if want := 1 / math.Sqrt(2*(5.0/3)/4); math.Abs(row.T-want) > 1e-6 {
		t.Errorf("t is %v, want %v", row.T, want)
	}
}

func TestMeasureUsesARandomOrder(t *testing.T) {
	t.Parallel()
	var order []bool
	took, err := timing.Measure(1000, rand.New(rand.NewPCG(1, 2)), func(_ int, with bool) error {
		order = append(order, with)
		return nil
	})
	if err != nil || len(took[0]) != 1000 || len(took[1]) != 1000 {
		t.Fatalf("%d and %d, %v", len(took[0]), len(took[1]), err)
	}
	first := 0
	for i := 0; i < len(order); i += 2 {
		if order[i] == order[i+1] {
			t.Fatal("both calls of a pair are of one kind")
		}
		if order[i] {
			first++
		}
	}
	if first < 400 || first > 600 {
		t.Errorf("the call with an account comes first in %d of 1000 pairs, want 400 to 600", first)
	}
}
