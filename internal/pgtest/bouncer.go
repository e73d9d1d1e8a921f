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

	"github.com/watchword-auth/watchword/internal/porttest"
)

// A Bouncer is a running PgBouncer in front of a cluster, in transaction pooling mode.
type Bouncer struct{ port int }

// NewBouncer starts a PgBouncer and stops it when the test ends. settings are additional
// lines of pgbouncer.ini. By default PgBouncer rejects startup parameters that it does
// not know.
func NewBouncer(t testing.TB, s *Server, settings ...string) *Bouncer {
	t.Helper()
	skip(t)
	program, err := findProgram("pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if os.Geteuid() == 0 {
		if _, err := chownToUnprivilegedUser(root); err != nil {
			t.Fatal(err)
		}
	}
	b := &Bouncer{}
	if b.port, err = porttest.Free(); err != nil {
		t.Fatal(err)
	}
	users, config := filepath.Join(root, "users.txt"), filepath.Join(root, "pgbouncer.ini")
	lines := append([]string{
		"[databases]", fmt.Sprintf("* = host=127.0.0.1 port=%d", s.Port),
		"[pgbouncer]", "pool_mode = transaction",
		"listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", b.port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = " + users,
	}, settings...)
	files := map[string]string{users: fmt.Sprintf("%q \"\"\n", superuser), config: strings.Join(lines, "\n") + "\n"}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-q", config)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: s.serverUser}
	ended, err := launchWithTestProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	if err := b.waitUntilReady(t.Context(), s, ended); err != nil {
		t.Fatal(err)
	}
	return b
}

// waitUntilReady waits until PgBouncer accepts connections, for at most 30 seconds.
func (b *Bouncer) waitUntilReady(ctx context.Context, s *Server, ended chan struct{}) error {
	var err error
	for range 600 {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(ctx, b.URL(s.URL("postgres"))); err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return fmt.Errorf("PgBouncer exited at startup")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("PgBouncer did not accept connections within 30 seconds: %w", err)
}

// URL returns the URL that reaches a database of the cluster through PgBouncer. database
// is the direct URL.
func (b *Bouncer) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		panic(err) // can't happen: Server.URL returned this URL
	}
	u.Host = fmt.Sprintf("127.0.0.1:%d", b.port)
	return u.String()
}
