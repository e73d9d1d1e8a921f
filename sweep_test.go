package watchword_test

import (
	"testing"
	"time"
)

func TestSweepingTakesWhatIsDeadAndLeavesWhatLives(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	gone := r.signUp(t, "ada@example.com")
	must(t, r.Logout(t.Context(), gone.RefreshToken, "", laptop))
	r.clock.advance(8 * 24 * time.Hour)
	live := r.login(t, "ada@example.com", laptop)
	rows, err := r.Sweep(t.Context())
	must(t, err)
	if rows == 0 {
		t.Error("nothing was swept")
	}
	r.identity(t, live)
	again, err := r.Sweep(t.Context())
	must(t, err)
	if again != 0 {
		t.Errorf("the second sweep found %d rows more", again)
	}
	r.clock.advance(91 * 24 * time.Hour)
	_, err = r.Sweep(t.Context())
	must(t, err)
	if events := r.events(t, live.User.ID); len(events) != 0 {
		t.Errorf("events were kept: %v", events)
	}
	if _, err := r.FindUser(t.Context(), "ada@example.com"); err != nil {
		t.Error("a user was swept")
	}
}
