package watchword_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/reusedetail"
)

func newestEvent(t *testing.T, r *rig, id watchword.UserID, kind watchword.EventKind) watchword.Event {
	t.Helper()
	events, err := r.Operator().UserEvents(t.Context(), id, 100)
	must(t, err)
	i := slices.IndexFunc(events, func(e watchword.Event) bool { return e.Kind == kind })
	if i < 0 {
		t.Fatalf("there is no event %s among %v", kind, events)
	}
	return events[i]
}

// OPS-3
func TestReuseEventHasTheDetailsForSupport(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := startEngine(t, func(o *watchword.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	in := r.signUp(t, "ada@example.com")
	token := in.RefreshToken
	for range 3 {
		next, err := r.Refresh(t.Context(), token, laptop)
		must(t, err)
		token = next.RefreshToken
		r.clock.advance(time.Minute)
	}
	_, err := r.Refresh(t.Context(), in.RefreshToken, phone)
	wantCode(t, err, watchword.CodeRefreshReused)
	event := newestEvent(t, r, in.User.ID, watchword.EventRefreshReused)
	if event.Address != phone.Address.String() || event.Device == "" {
		t.Errorf("the event is of %q on %q, want the client that presented the token", event.Address, event.Device)
	}
	detail, ok := reusedetail.Parse(event.Detail)
	want := reusedetail.Detail{
		Presented: 0, Newest: 3, Rule: "older_than_parent", Superseded: "3m0s",
		From:    reusedetail.Party{Device: event.Device, Address: phone.Address.String()},
		Session: reusedetail.Party{Device: in.Session.Device, Address: laptop.Address.String()},
	}
	if !ok || detail != want || detail.From.Device == detail.Session.Device || detail.Session.Device == "" {
		t.Errorf("the detail is %s\nwant %s", event.Detail, want)
	}
	if !strings.Contains(log.String(), "older_than_parent") {
		t.Errorf("the log does not hold the detail:\n%s", log.String())
	}
}

func TestCauseOfAReuse(t *testing.T) {
	t.Parallel()
	laptopAgent, phoneAgent := watchword.AgentOf("laptop"), watchword.AgentOf("phone")
	r := watchword.Rotation{Generation: 7, Forgiven: 6, RotatedBy: laptopAgent}
	for _, c := range []struct {
		generation int64
		agent      watchword.Agent
		want       string
	}{
		{5, laptopAgent, "older_than_parent"},
		{0, phoneAgent, "older_than_parent"},
		{6, phoneAgent, "other_user_agent"},
		{6, laptopAgent, "forgiven_too_often"},
	} {
		p := watchword.Presentation{Generation: c.generation, Agent: c.agent, At: time.Unix(1000, 0)}
		if verdict, _ := watchword.Judge(r, watchword.RotationPolicy{Clean: 1}, p); verdict != watchword.VerdictReuse {
			t.Errorf("generation %d: %s", c.generation, verdict)
		}
		if got := watchword.WhyReuse(r, p); got != c.want {
			t.Errorf("generation %d of %s: %s, want %s", c.generation, c.agent, got, c.want)
		}
	}
}

// OPS-3, ID-4
func TestAResetRequestIsAnEventOfTheOwner(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := startEngine(t, func(o *watchword.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	in := r.signUp(t, "ada@example.com")
	r.deliverMail(t)
	asked := r.clock.Now().UTC().Truncate(time.Millisecond)
	must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", phone))
	must(t, r.ForgotPassword(t.Context(), "nobody@example.com", "", phone))
	r.clock.advance(time.Second)
	r.deliverMail(t)
	event := newestEvent(t, r, in.User.ID, "password_reset_requested")
	if event.At != asked || event.Address != phone.Address.String() || event.RequestID != phone.RequestID ||
		event.Device == "" || event.Detail != "" {
		t.Errorf("the event is %+v", event)
	}
	must(t, r.Operator().SendReset(t.Context(), in.User.ID))
	r.deliverMail(t)
	if event = newestEvent(t, r, in.User.ID, "password_reset_requested"); event.Detail != "by an operator" {
		t.Errorf("the event of an operator is %+v", event)
	}
	if lines := strings.Count(log.String(), "event=password_reset_requested"); lines != 2 {
		t.Errorf("%d lines in the log, want 2", lines)
	}
}
