package main_test

import (
	"testing"

	main "github.com/watchword-auth/watchword/cmd/watchword"
)

// The program must warn about unverified connections, because by default the driver accepts any certificate and no
// encryption.
func TestUnverifiedConnectionsToPostgreSQLAreWarnedAbout(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:p@db.example.com/watchword":                     "db.example.com",
		"postgres://u:p@db.example.com/watchword?sslmode=disable":     "db.example.com",
		"postgres://u:p@db.example.com/watchword?sslmode=require":     "db.example.com",
		"postgres://u:p@db.example.com/watchword?sslmode=verify-full": "",
		"postgres://u:p@10.0.0.7:6432/watchword":                      "10.0.0.7",
		"postgres://u:p@[2001:db8::7]/watchword":                      "2001:db8::7",
		"postgres://u:p@localhost,db.example.com/watchword":           "db.example.com",
		"postgres://u:p@localhost/watchword":                          "",
		"postgres://u:p@127.0.0.1:5433/watchword":                     "",
		"postgres://u:p@[::1]/watchword":                              "",
		"postgres:///watchword?host=/run/postgresql&user=u":           "",
		"sqlite:": "",
	} {
		if got := main.UnverifiedDatabase(url); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
		warned := false
		for _, warning := range main.WarningsFor(url) {
			warned = warned || len(warning) > 0
		}
		if warned != (want != "") {
			t.Errorf("%s: the start warns: %v", url, warned)
		}
	}
}
