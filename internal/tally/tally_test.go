package tally_test

import (
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/internal/tally"
)

func TestCountsAddUpOverGoroutines(t *testing.T) {
	t.Parallel()
	var c tally.Counts[string]
	if all := c.All(); all == nil || len(all) != 0 {
		t.Errorf("the zero value has %v", all)
	}
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			for range 100 {
				c.Add("a")
			}
			c.Add("b")
		})
	}
	adding.Wait()
	all := c.All()
	if len(all) != 2 || all["a"] != 800 || all["b"] != 8 {
		t.Errorf("counted %v", all)
	}
	all["a"] = 0
	if c.All()["a"] != 800 {
		t.Error("All returns no copy")
	}
}
