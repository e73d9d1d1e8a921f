package reusedetail_test

import (
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/reusedetail"
)

func TestDetailSurvivesItsText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 3, 10, 2, 0, 0, time.UTC)
	d := reusedetail.Detail{
		Presented: 3, Newest: 5, Rule: "older_than_parent", Superseded: reusedetail.Since(at.Add(-125*time.Minute), at),
		From:    reusedetail.Party{Device: "Chrome on Linux", Address: "203.0.113.9"},
		Session: reusedetail.Party{Device: `Safari "on" <iPhone>`, Address: "192.0.2.7"},
	}
	if got, ok := reusedetail.Parse(d.String()); !ok || got != d {
		t.Errorf("%s became %+v", d, got)
	}
	const words = `generation 3 of 5, replaced 2h5m0s before, older_than_parent; session of Safari "on" <iPhone> (192.0.2.7)`
	if d.Words() != words {
		t.Errorf("got %s", d.Words())
	}
	if got := reusedetail.Since(time.Time{}, at); got != "" {
		t.Errorf("an unknown time is %q", got)
	}
}

func TestDetailOfAnEarlierReleaseIsRead(t *testing.T) {
	t.Parallel()
	const early = `presented=3 newest=5 rule=older_than_parent superseded=2h5m0s_ago session_address=192.0.2.7 ` +
		`session_device="Firefox on Linux"`
	want := reusedetail.Detail{Presented: 3, Newest: 5, Rule: "older_than_parent", Superseded: "2h5m0s",
		Session: reusedetail.Party{Device: "Firefox on Linux", Address: "192.0.2.7"}}
	if got, ok := reusedetail.Parse(early); !ok || got != want {
		t.Errorf("got %+v, %t", got, ok)
	}
	for _, other := range []string{"", "by an operator", "{", "{}", `{"presented":1}`, "presented=1 newest=2",
		"presented=1 newest=2 rule=r superseded=unknown session_address=unknown session_device=x"} {
		if got, ok := reusedetail.Parse(other); ok {
			t.Errorf("%q is %+v", other, got)
		}
	}
}
