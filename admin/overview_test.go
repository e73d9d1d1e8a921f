package admin_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
)

func TestOverviewFindsEachProblem(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	key := func(use watchword.KeyUse, state string) watchword.KeyInfo {
		return watchword.KeyInfo{Use: use, State: state}
	}
	good := admin.Account{TOTP: true}
	disabled := admin.Account{User: watchword.User{DisabledAt: now}}
	two := []admin.Account{good, good}
	for name, c := range map[string]struct {
		stats  watchword.Stats
		admins []admin.Account
		want   []admin.Problem
	}{
		"fine": {watchword.Stats{Keys: []watchword.KeyInfo{key("sign", "active"), key("sign", "next")}},
			two, nil},
		"store": {watchword.Stats{Store: errors.New("disk full")}, two, []admin.Problem{{Kind: admin.ProblemStore}}},
		"keys": {watchword.Stats{Keys: []watchword.KeyInfo{key("refresh", "active"), key("sign", "retired"),
			key("sign", "next")}}, two, []admin.Problem{{Kind: admin.ProblemKeys}}},
		"feed": {watchword.Stats{Feed: watchword.FeedState{Unnumbered: now.Add(-2 * time.Minute)}}, two,
			[]admin.Problem{{Kind: admin.ProblemFeed, Since: now.Add(-2 * time.Minute)}}},
		"feed in time": {watchword.Stats{Feed: watchword.FeedState{Unnumbered: now.Add(-time.Minute)}}, two, nil},
		"mails": {watchword.Stats{MailWaiting: 3, MailGivenUp: 2, MailOldest: now.Add(-11 * time.Minute)}, two,
			[]admin.Problem{{Kind: admin.ProblemMailLate, Count: 3, Since: now.Add(-11 * time.Minute)},
				{Kind: admin.ProblemMailGivenUp, Count: 2}}},
		"mails in time": {watchword.Stats{MailWaiting: 3, MailOldest: now.Add(-10 * time.Minute)}, two, nil},
		"one admin": {watchword.Stats{}, []admin.Account{good, disabled},
			[]admin.Problem{{Kind: admin.ProblemOneAdmin}}},
		"an admin's phone": {watchword.Stats{}, []admin.Account{good, {}, {Passkey: true}, {}, disabled},
			[]admin.Problem{{Kind: admin.ProblemFactor, Count: 2}}},
		"no admin": {watchword.Stats{}, nil, nil}, // without an administrator, no one can see the page
	} {
		got := admin.FindProblems(admin.Situation{Stats: c.stats, Admins: c.admins, Now: now})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	restored := admin.Situation{Restored: now.Add(-time.Hour), Admins: two, Now: now}
	want := []admin.Problem{{Kind: admin.ProblemRestore, Since: restored.Restored}}
	if got := admin.FindProblems(restored); !slices.Equal(got, want) {
		t.Errorf("a restore: got %v, want %v", got, want)
	}
}
