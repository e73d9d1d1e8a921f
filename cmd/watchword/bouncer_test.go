package main_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/pgtest"
)

// Servers must work behind PgBouncer. In its default configuration with pool_mode = transaction, a server can get a
// different connection for each transaction.
func TestServersWorkBehindPgBouncer(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	bouncer := pgtest.NewBouncer(t, database, "default_pool_size = 6")
	t.Run("the life of an account", func(t *testing.T) {
		t.Parallel()
		followAccount(t, postgresArguments(bouncer.URL(database.Database(t))))
	})
	t.Run("three servers are linearizable", func(t *testing.T) {
		t.Parallel()
		arguments := append(postgresArguments(bouncer.URL(database.Database(t))), "--limits=off", "--log-level=error",
			"--refresh-grace=0s")
		checkHistories(t, watchword.RotationPolicy{Grace: 0, Clean: 1}, 3, startServers(t, 3, arguments))
	})
	t.Run("four servers start at once on an empty database", func(t *testing.T) {
		t.Parallel()
		arguments := postgresArguments(bouncer.URL(database.Database(t)))
		var starting sync.WaitGroup
		servers := make([]*server, 4)
		for i := range servers {
			servers[i] = newServer(t, freeAddress(t))
			dir := t.TempDir()
			starting.Go(func() {
				if err := servers[i].start(dir, []string{"HOME=" + dir}, arguments); err != nil {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		if t.Failed() {
			return
		}
		token := newDevice(t, servers[0].address).post(t, "/register",
			body{"email": ada, "password": firstSecret, "delivery": "body"}, 201).RefreshToken
		for _, s := range servers {
			token = newDevice(t, s.address).post(t, "/refresh", body{"refreshToken": token}, 200).RefreshToken
		}
	})
	t.Run("it is said that the timeouts are off, and what to do", func(t *testing.T) {
		t.Parallel()
		url := bouncer.URL(database.Database(t))
		if got := run(t, call{args: append([]string{"migrate"}, postgresArguments(url)...)}); got.code != 0 {
			t.Fatalf("migrate: exit code %d: %s", got.code, got.errors)
		}
		s := newServer(t, freeAddress(t))
		s.onTerminal = true
		startServer(t, s, postgresArguments(url)...)
		if err := s.terminate(); err != nil {
			t.Fatal(err)
		}
		for where, text := range map[string]string{"the log": s.errs.String(), "the first screen": s.out.String()} {
			if !strings.Contains(text, "ALTER ROLE watchword SET lock_timeout = 5000;") {
				t.Errorf("%s does not tell how to set the timeouts:\n%s", where, text)
			}
		}
		doctor := run(t, call{args: append([]string{"doctor"}, postgresArguments(url)...)})
		if !strings.Contains(doctor.out, "ALTER ROLE watchword SET statement_timeout = 15000;") {
			t.Errorf("doctor does not tell how to set the timeouts:\n%s", doctor.out)
		}
	})
}

// The error about a database that can't be reached is one line without the password.
func TestWrongStoreIsReportedInOneLine(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	server := pgtest.New(t)
	database := server.Database(t)
	if err := server.Write("pg_hba.conf",
		"host all watchword all trust\nhost all guarded all scram-sha-256\n"); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "CREATE ROLE guarded LOGIN PASSWORD 'another'")
	guarded := strings.Replace(database, "watchword@", "guarded:"+secret+"@", 1)
	nobody := freeAddress(t)
	for name, c := range map[string]struct{ url, want string }{
		"a wrong password": {guarded, "password authentication failed for user \"guarded\""},
		"an unknown database": {strings.Replace(database, "/test1?", "/nowhere?", 1),
			"database \"nowhere\" does not exist"},
		"nobody listens": {"postgres://watchword:" + secret + "@" + nobody + "/x", "connection refused"},
		"of two hosts nobody": {"postgres://watchword:" + secret + "@" + nobody + "," + nobody +
			"/x?target_session_attrs=read-write", "connection refused"},
	} {
		for _, command := range []string{"serve", "migrate"} {
			t.Run(name+", "+command, func(t *testing.T) {
				t.Parallel()
				got := run(t, call{args: append([]string{command, "--listen=" + freeAddress(t), "--admin-listen="},
					postgresArguments(c.url)...)})
				if got.code != 1 || strings.Count(got.errors, "\n") != 1 || strings.Count(got.errors, c.want) != 1 {
					t.Errorf("exit code %d and %q, want one line with %q", got.code, got.errors, c.want)
				}
				if strings.Contains(got.errors+got.out, secret) {
					t.Error("the password is shown")
				}
			})
		}
	}
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // an error of Close does not matter in a test
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
