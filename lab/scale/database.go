package scale

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A database is a store, and a connection past it: for filling, and for asking
// what it cost.
type database struct {
	store   watchword.Store
	sql     *sql.DB
	indexes string                        // asks for names and definitions of those on the tables to be filled
	settle  []string                      // what a database does in quiet hours
	counts  bool                          // it counts the log and HOT updates: PostgreSQL
	undo    []func(context.Context) error // what was made, the last first
}

// remove leaves nothing behind, however far create came.
func (d *database) remove(ctx context.Context) (err error) {
	for _, undo := range slices.Backward(d.undo) {
		err = errors.Join(err, undo(ctx))
	}
	return err
}

func (d *database) create(ctx context.Context, store, name string) error {
	if dir, ok := strings.CutPrefix(store, "sqlite:"); ok {
		return d.createSQLite(ctx, filepath.Join(dir, name+".db"))
	}
	return d.createPostgres(ctx, store, name)
}

func (d *database) createSQLite(ctx context.Context, path string) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s is there already", path)
	}
	d.undo = append(d.undo, func(context.Context) (err error) {
		for _, end := range []string{"", "-wal", "-shm"} {
			if gone := os.Remove(path + end); !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		return err
	})
	if d.store, err = sqlite.Open(ctx, path); err != nil {
		return err
	}
	d.undo = append(d.undo, func(context.Context) error { return d.store.Close() })
	d.indexes = `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ('users', 'sessions')`
	d.settle = []string{"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA cache_size = 0"}
	return d.open(sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-20000)"))
}

func (d *database) createPostgres(ctx context.Context, server, name string) error {
	pool, err := pgxpool.ParseConfig(server)
	if err != nil {
		return err
	}
	config := pool.ConnConfig
	admin := stdlib.OpenDB(*config)
	d.undo = append(d.undo, func(context.Context) error { return admin.Close() })
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	d.undo = append(d.undo, func(ctx context.Context) error {
		_, err := admin.ExecContext(ctx, "DROP DATABASE "+name)
		return err
	})
	at, err := url.Parse(server)
	if err != nil {
		return err
	}
	at.Path = "/" + name
	if d.store, err = postgres.Open(ctx, at.String()); err != nil {
		return err
	}
	d.undo = append(d.undo, func(context.Context) error { return d.store.Close() })
	d.indexes = `SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('users', 'sessions')
		AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`
	d.settle = []string{"VACUUM (ANALYZE)", "CHECKPOINT"}
	d.counts = true
	config.Database = name
	config.RuntimeParams["synchronous_commit"] = "off" // for filling
	config.RuntimeParams["maintenance_work_mem"] = "512MB"
	return d.open(stdlib.OpenDB(*config), nil)
}

// open keeps one connection.
func (d *database) open(db *sql.DB, err error) error {
	if err != nil {
		return err
	}
	d.sql = db
	d.sql.SetMaxOpenConns(1)
	d.undo = append(d.undo, func(context.Context) error { return d.sql.Close() })
	return nil
}

func (d *database) checkpoint(ctx context.Context) error {
	if !d.counts {
		return nil
	}
	return d.execute(ctx, "CHECKPOINT")
}

// touch changes a row on every page of the sessions, as rotations do in the course
// of time.
func (d *database) touch(ctx context.Context) error {
	if !d.counts {
		return nil
	}
	return d.execute(ctx, `UPDATE sessions SET refresh_key = refresh_key WHERE ctid = ANY (ARRAY(
		SELECT MIN(ctid) FROM sessions GROUP BY (CAST(CAST(ctid AS text) AS point))[0]))`)
}

// log is how many bytes of write-ahead log there were since the server began.
func (d *database) log(ctx context.Context) (bytes float64, err error) {
	if !d.counts {
		return 0, nil
	}
	err = d.sql.QueryRowContext(ctx, "SELECT pg_current_wal_lsn() - '0/0'").Scan(&bytes)
	return bytes, err
}

// hot is the share of the updates that changed no index.
func (d *database) hot(ctx context.Context) (share float64, err error) {
	if !d.counts {
		return 0, nil
	}
	err = d.sql.QueryRowContext(ctx, `SELECT CAST(n_tup_hot_upd AS FLOAT) / n_tup_upd FROM pg_stat_user_tables
		WHERE relname = 'sessions'`).Scan(&share)
	return share, err
}

// size is that of the sessions and their indexes; of everything on SQLite.
func (d *database) size(ctx context.Context) (bytes int64, err error) {
	question := "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	if d.counts {
		question = "SELECT pg_total_relation_size('sessions')"
	}
	err = d.sql.QueryRowContext(ctx, question).Scan(&bytes)
	return bytes, err
}
