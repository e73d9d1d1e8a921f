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

// A database is a store and a separate SQL connection, which fills the tables and reads statistics.
type database struct {
	store        watchword.Store
	sql          *sql.DB
	indexQuery   string // selects the names and definitions of the indexes to drop
	afterFilling []string
	isPostgres   bool
	cleanups     []func(context.Context) error // removeAll calls them in reverse order
}

// removeAll deletes everything that create has created, even if create failed.
func (d *database) removeAll(ctx context.Context) (err error) {
	for _, cleanup := range slices.Backward(d.cleanups) {
		err = errors.Join(err, cleanup(ctx))
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
		return fmt.Errorf("%s already exists", path)
	}
	d.cleanups = append(d.cleanups, func(context.Context) (err error) {
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
	d.cleanups = append(d.cleanups, func(context.Context) error { return d.store.Close() })
	d.indexQuery = `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ('users', 'sessions')`
	d.afterFilling = []string{"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA cache_size = 0"}
	return d.useSingleConn(sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-20000)"))
}

func (d *database) createPostgres(ctx context.Context, server, name string) error {
	pool, err := pgxpool.ParseConfig(server)
	if err != nil {
		return err
	}
	config := pool.ConnConfig
	admin := stdlib.OpenDB(*config)
	d.cleanups = append(d.cleanups, func(context.Context) error { return admin.Close() })
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	d.cleanups = append(d.cleanups, func(ctx context.Context) error {
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
	d.cleanups = append(d.cleanups, func(context.Context) error { return d.store.Close() })
	d.indexQuery = `SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('users', 'sessions')
		AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`
	d.afterFilling = []string{"VACUUM (ANALYZE)", "CHECKPOINT"}
	d.isPostgres = true
	config.Database = name
	config.RuntimeParams["synchronous_commit"] = "off" // for fast filling
	config.RuntimeParams["maintenance_work_mem"] = "512MB"
	return d.useSingleConn(stdlib.OpenDB(*config), nil)
}

func (d *database) useSingleConn(db *sql.DB, err error) error {
	if err != nil {
		return err
	}
	d.sql = db
	d.sql.SetMaxOpenConns(1)
	d.cleanups = append(d.cleanups, func(context.Context) error { return d.sql.Close() })
	return nil
}

func (d *database) checkpoint(ctx context.Context) error {
	if !d.isPostgres {
		return nil
	}
	return d.execute(ctx, "CHECKPOINT")
}

// touchPages changes a row on every page of the table sessions, as rotations do over time. PostgreSQL logs a whole
// page at its first change after a checkpoint, so later changes log less.
func (d *database) touchPages(ctx context.Context) error {
	if !d.isPostgres {
		return nil
	}
	return d.execute(ctx, `UPDATE sessions SET refresh_key = refresh_key WHERE ctid = ANY (ARRAY(
		SELECT MIN(ctid) FROM sessions GROUP BY (CAST(CAST(ctid AS text) AS point))[0]))`)
}

// walBytes returns the current position in the write-ahead log in bytes. It returns 0 on SQLite.
func (d *database) walBytes(ctx context.Context) (bytes float64, err error) {
	if !d.isPostgres {
		return 0, nil
	}
	err = d.sql.QueryRowContext(ctx, "SELECT pg_current_wal_lsn() - '0/0'").Scan(&bytes)
	return bytes, err
}

// hotShare returns the share of updates that changed no index (0 to 1). It returns 0 on SQLite.
func (d *database) hotShare(ctx context.Context) (share float64, err error) {
	if !d.isPostgres {
		return 0, nil
	}
	err = d.sql.QueryRowContext(ctx, `SELECT CAST(n_tup_hot_upd AS FLOAT) / n_tup_upd FROM pg_stat_user_tables
		WHERE relname = 'sessions'`).Scan(&share)
	return share, err
}

// sizeBytes returns the size of the table sessions and its indexes. On SQLite it returns the size of the whole
// database.
func (d *database) sizeBytes(ctx context.Context) (bytes int64, err error) {
	question := "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	if d.isPostgres {
		question = "SELECT pg_total_relation_size('sessions')"
	}
	err = d.sql.QueryRowContext(ctx, question).Scan(&bytes)
	return bytes, err
}
