package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

// A database is an empty PostgreSQL database for one trial. Its cluster was started by the runner.
type database struct {
	cluster *pgtest.Server
	name    string
}

func (d *database) url() string { return d.cluster.URL(d.name) }

// newDatabase creates a database, runs the statements in it, and checks that the cluster commits durably.
func newDatabase(ctx context.Context, cluster *pgtest.Server, name string, statements []string) (*database, error) {
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // an error does not change the result
	reported := map[string]string{}
	for setting := range requiredSettings[postgreSQL] {
		var value string
		if err := conn.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil {
			return nil, err
		}
		reported[setting] = value
	}
	if err := checkRequired(postgreSQL, reported); err != nil {
		return nil, fmt.Errorf("PostgreSQL: %w", err)
	}
	if _, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return nil, err
	}
	d := &database{cluster, name}
	return d, d.execute(ctx, statements)
}

func (d *database) execute(ctx context.Context, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	conn, err := pgx.Connect(ctx, d.url())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // an error does not change the result
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare the database: %w", err)
		}
	}
	return nil
}

func (d *database) drop(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // an error does not change the result
	_, err = conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{d.name}.Sanitize()+" WITH (FORCE)")
	return err
}

// backendPIDs returns the PostgreSQL processes that serve connections to this database. It finds them by their
// titles, which contain the name of the database.
func (d *database) backendPIDs() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		title, _ := os.ReadFile(file)
		if strings.HasPrefix(string(title), "postgres: ") && strings.Contains(string(title), " "+d.name+" ") {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// extraConnections is how many connections a server may use in addition to its pool, for example for LISTEN or a
// lock.
const extraConnections = 2

// checkPool returns an error if the server has more connections to the database than poolSize + extraConnections.
func (t *trial) checkPool(context.Context) error {
	if t.database == nil {
		return nil
	}
	if n := len(t.database.backendPIDs()); n > poolSize+extraConnections {
		return fmt.Errorf("the server has %d connections to PostgreSQL, want at most %d", n, poolSize+extraConnections)
	}
	return nil
}
