package server_test

import (
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/web"
)

func TestDeviceIcons(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Chrome on Windows": "computer", "Safari on macOS": "computer", "macOS": "computer",
		"Firefox on Linux": "computer",
		"Linux":            "computer",
		"Safari on iPhone": "phone", "Chrome on Android": "phone", "iPhone": "phone", "Safari on iPad": "tablet",
		"curl": "program", "Go-http-client": "program", "": "unknown", "Unknown device": "unknown",
		"<svg on >": "computer",
	} {
		if got := server.DeviceIcon(name); got != want {
			t.Errorf("%q has the icon %s, want %s", name, got, want)
		}
	}
}

// Sessions of one device and one address must share a row, except the current session. A session from another address
// must stay visible, because it may be a stranger's.
func TestSessionsAreFoldedByDeviceAndAddress(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 11, 29, 12, minute, 0, 0, time.UTC) }
	rows := server.DevicesOf([]server.AccountSession{
		{ID: "1", Device: "Safari on iPhone", Address: "192.0.2.1", Used: at(9)},
		{ID: "2", Device: "Safari on iPhone", Address: "198.51.100.7", Used: at(8)},
		{ID: "3", Device: "Safari on iPhone", Address: "192.0.2.1", Used: at(7), Current: true},
		{ID: "4", Device: "Safari on iPhone", Address: "192.0.2.1", Used: at(6)},
	})
	var got []string
	for _, row := range rows {
		ids := row.Address + " " + row.Used.Format("15:04") + ":"
		for _, one := range row.Sessions {
			ids += " " + one.ID
		}
		got = append(got, ids)
	}
	want := "192.0.2.1 12:07: 3\n192.0.2.1 12:09: 1 4\n198.51.100.7 12:08: 2"
	if s := strings.Join(got, "\n"); s != want || !rows[0].Current {
		t.Errorf("the rows are\n%s\nwant\n%s", s, want)
	}
	if rows[0].Folded() != nil || len(rows[1].Folded()) != 2 || rows[2].Only().ID != "2" {
		t.Errorf("folded: %+v", rows)
	}
	if server.DevicesOf(nil) != nil {
		t.Error("no sessions give a row")
	}
}

func TestOnlyEqualNeighboursOfEventsAreMerged(t *testing.T) {
	t.Parallel()
	e := func(kind, device, address string, times int) server.AccountEvent {
		return server.AccountEvent{Kind: watchword.EventKind(kind), Device: device, Address: address, Times: times}
	}
	var got []string
	for _, row := range server.FoldEvents([]server.AccountEvent{
		e("login", "A", "1", 1), e("login", "A", "1", 0), e("login_failed", "A", "1", 3),
		e("login_failed", "A", "1", 1),
		e("login_failed", "B", "1", 1), e("login_failed", "B", "2", 1), e("login", "A", "1", 1),
	}) {
		got = append(got, string(row.Kind)+" "+row.Device+row.Address+" "+strconv.Itoa(row.Times))
	}
	want := "login A1 2, login_failed A1 4, login_failed B1 1, login_failed B2 1, login A1 1"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("the events are\n%s, want\n%s", s, want)
	}
}

func TestTimesAreRelativeForThirtyDays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		age             time.Duration
		english, german string
	}{
		{-time.Hour, "just now", "gerade eben"}, // the clock of the store is ahead of this process's clock
		{59 * time.Second, "just now", "gerade eben"},
		{time.Minute, "1 minute ago", "vor 1 Minute"},
		{59*time.Minute + 59*time.Second, "59 minutes ago", "vor 59 Minuten"},
		{time.Hour, "1 hour ago", "vor 1 Stunde"},
		{23 * time.Hour, "23 hours ago", "vor 23 Stunden"},
		{24 * time.Hour, "1 day ago", "vor 1 Tag"},
		{30*24*time.Hour - 1, "29 days ago", "vor 29 Tagen"},
	} {
		at := now.Add(-c.age)
		for lang, text := range map[string]string{"en": c.english, "de": c.german} {
			got, err := server.Ago(lang, at.In(time.FixedZone("", 3600)), now)
			exact := at.Format(
				map[string]string{"en": "2 January 2006, 15:04 UTC", "de": "02.01.2006, 15:04 UTC"}[lang])
			want := `<time datetime="` + at.Format(time.RFC3339) + `" title="` + exact + `" data-age="` +
				strconv.Itoa(int(max(c.age, 0)/time.Second)) + `">` + text + `</time>`
			if err != nil || got != want {
				t.Errorf("%s, %s: %s (%v), want %s", c.age, lang, got, err, want)
			}
		}
	}
	got, err := server.Ago("en", now.Add(-30*24*time.Hour), now)
	if want := `<time datetime="2026-10-30T12:00:00Z">30 October 2026, 12:00 UTC</time>`; err != nil || got != want {
		t.Errorf("after 30 days: %s (%v)", got, err)
	}
}

// The styles and scripts must not exceed the size that docs/pages.md states. The server sends the files as they are,
// because there is no build step.
func TestStylesAndScriptsStayUnder28KB(t *testing.T) {
	t.Parallel()
	total := 0
	for _, pattern := range []string{"assets/*.css", "assets/*.js"} {
		names, err := fs.Glob(web.Files, pattern)
		must(t, err)
		for _, name := range names {
			content, err := fs.ReadFile(web.Files, name)
			must(t, err)
			t.Logf("%s: %d bytes", name, len(content))
			total += len(content)
		}
	}
	if total > 28_000 || total < 1000 {
		t.Errorf("%d bytes", total)
	}
}

// Templates must not have styles or scripts in attributes, because the Content-Security-Policy blocks them.
func TestTemplatesHaveNoInlineStyleOrScript(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(web.Files, "templates/*.html")
	must(t, err)
	if len(names) < 10 {
		t.Fatalf("only %d templates", len(names))
	}
	inline := regexp.MustCompile(`(?i)\sstyle=|<style|\son[a-z]+=|javascript:`)
	for _, name := range names {
		content, err := fs.ReadFile(web.Files, name)
		must(t, err)
		if found := inline.Find(content); found != nil {
			t.Errorf("%s has %q", name, found)
		}
	}
}
