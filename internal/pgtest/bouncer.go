package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Bouncer is a running PgBouncer that lends the connections of a cluster out for
// one transaction each.
type Bouncer struct{ port int }

// NewBouncer starts one; it is gone when the test ends. Further settings are lines
// of pgbouncer.ini, without any it is as it comes: it refuses start-up parameters
// that it does not know.
func NewBouncer(t testing.TB, s *Server, settings ...string) *Bouncer {
	t.Helper()
	skip(t)
	program, err := find("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if os.Geteuid() == 0 {
		if _, err := unprivileged(root); err != nil {
			t.Fatal(err)
		}
	}
	b := &Bouncer{}
	if b.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	users, config := filepath.Join(root, "users.txt"), filepath.Join(root, "pgbouncer.ini")
	lines := append([]string{
		"[databases]", fmt.Sprintf("* = host=127.0.0.1 port=%d", s.Port),
		"[pgbouncer]", "pool_mode = transaction",
		"listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", b.port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = " + users,
	}, settings...)
	for name, text := range map[string]string{users: fmt.Sprintf("%q \"\"\n", superuser), config: strings.Join(lines, "\n") + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-q", config)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: s.owner}
	ended, err := launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	if err := b.answers(t.Context(), s, ended); err != nil {
		t.Fatal(err)
	}
	return b
}

// answers waits until it lends a connection.
func (b *Bouncer) answers(ctx context.Context, s *Server, ended chan struct{}) error {
	var err error
	for range 600 {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, b.URL(s.URL("postgres"))); err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return fmt.Errorf("PgBouncer ended at once")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("PgBouncer did not answer within 30 seconds: %w", err)
}

// URL is where a database of the cluster is for those who come through the proxy.
func (b *Bouncer) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		panic(err) // it is one of ours
	}
	u.Host = fmt.Sprintf("127.0.0.1:%d", b.port)
	return u.String()
}
