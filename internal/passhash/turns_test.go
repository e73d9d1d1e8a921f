package passhash_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// Steps: "a" adds a job of client a, "-a" withdraws the newest job of a, and "." serves the next job.
func TestTurnsServeNewClientsFirstAndAllInTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, steps, want string }{
		{"nobody waits", ". .", ""},
		{"one client in order", "a a . .", "aa"},
		{"in turn", "a a b b . . . .", "abab"},
		{"a new client goes before a crowd", "c c c . n . .", "cnc"},
		{"several new clients keep their order", "c c . n m . . .", "cnmc"},
		{"a client that returns during the job of a crowd is next", "c c c c . n . . n . .", "cncnc"},
		{"a client that returns keeps its turn, but gets no second one", "c c c d d . . n . n . n . . . .", "cdncdncn"},
		{"an absent client loses its place and returns as a new one", "c c c c . n . . . n . .", "cnccnc"},
		{"new clients overtake one group at a time", "c c c . n . m . . k . .", "cncmck"},
		{"a later new client does not overtake an earlier one", "a b c . d . . . .", "abcd"},
		{"only the waiting job of a client is withdrawn", "a . -a .", "a"},
		{"a new client that withdraws leaves no place", "c c . n -n . .", "cc"},
		{"a served client that withdraws is not new again", "c c c c . n . n -n n . . .", "cncnc"},
	} {
		s := passhash.NewSchedule()
		var got strings.Builder
		for step := range strings.FieldsSeq(c.steps) {
			switch client, withdraws := strings.CutPrefix(step, "-"); {
			case withdraws:
				s.Withdraw(client)
			case step == ".":
				got.WriteString(s.Next())
			default:
				s.Add(client)
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: served %q, want %q", c.name, got.String(), c.want)
		}
	}
}

// While a job of a client waits, every other client must be served at most once. The order of jobs, withdrawals and
// new clients must not change this.
func TestNoClientIsServedTwiceWhileAnotherWaits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := passhash.NewSchedule()
		waiting := map[string]int{}
		served := map[string]map[string]int{} // served[a][b]: how often b was served while a waited
		left := 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			client := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "client")
			switch rapid.SampledFrom([]string{"add", "add", "serve", "serve", "withdraw"}).Draw(t, "step") {
			case "add":
				if waiting[client] == 0 {
					served[client] = map[string]int{}
				}
				s.Add(client)
				waiting[client]++
				left++
			case "withdraw":
				if waiting[client] > 0 && s.Withdraw(client) {
					waiting[client]--
					left--
				}
			case "serve":
				got := s.Next()
				if (got == "") != (left == 0) || got != "" && waiting[got] == 0 {
					t.Fatalf("served %q, and %d jobs wait: %v", got, left, waiting)
				}
				if got == "" {
					continue
				}
				waiting[got]--
				left--
				served[got] = map[string]int{}
				for other, counts := range served {
					if other == got || waiting[other] == 0 {
						continue
					}
					if counts[got]++; counts[got] > 1 {
						t.Fatalf("%s was served %d times while %s waited", got, counts[got], other)
					}
				}
			}
		}
		for left > 0 {
			if s.Next() == "" {
				t.Fatalf("%d jobs wait for ever", left)
			}
			left--
		}
		if s.Next(); s.Known() > 0 {
			t.Fatalf("%d clients have a place without a job", s.Known())
		}
	})
}

// A client with many jobs, here called "crowd", must be served even while a stream of new clients with one job each
// arrives.
func TestNewClientsDoNotStarveACrowd(t *testing.T) {
	t.Parallel()
	s := passhash.NewSchedule()
	crowd := 0
	for n := range 1000 {
		s.Add("crowd")
		for i := range 3 { // three new clients for each served job
			s.Add(string(rune('a'+i)) + strings.Repeat("x", n))
		}
		if s.Next() == "crowd" {
			crowd++
		}
	}
	if crowd < 5 {
		t.Errorf("the crowd was served %d times of 1000", crowd)
	}
}
