package scale

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	drop    func(context.Context) error
	indexes string   // names and definitions of those on the tables to be filled
	settle  []string // what a database does in quiet hours
	counts  bool     // it counts the log and HOT updates
}

func create(ctx context.Context, store, name string) (database, error) {
	if dir, ok := strings.CutPrefix(store, "sqlite:"); ok {
		return createSQLite(ctx, filepath.Join(dir, name+".db"))
	}
	return createPostgres(ctx, store, name)
}

func createSQLite(ctx context.Context, path string) (d database, err error) {
	if _, err := os.Stat(path); err == nil {
		return d, fmt.Errorf("%s is there already", path)
	}
	d.drop = func(context.Context) (err error) {
		for _, open := range []interface{ Close() error }{d.sql, d.store} {
			err = errors.Join(err, open.Close())
		}
		for _, end := range []string{"", "-wal", "-shm"} {
			if gone := os.Remove(path + end); !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		return err
	}
	if d.store, err = sqlite.Open(ctx, path); err != nil {
		return d, err
	}
	d.sql, err = sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(OFF)&_pragma=cache_size(-200000)&_pragma=temp_store(0)")
	d.sql.SetMaxOpenConns(1)
	d.indexes = `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name IN ('users', 'sessions')`
	d.settle = []string{"PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA cache_size = 0"}
	return d, err
}

func createPostgres(ctx context.Context, server, name string) (d database, err error) {
	pool, err := pgxpool.ParseConfig(server)
	if err != nil {
		return d, err
	}
	config := pool.ConnConfig
	admin := stdlib.OpenDB(*config)
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return d, errors.Join(err, admin.Close())
	}
	d.drop = func(ctx context.Context) (err error) {
		for _, open := range []interface{ Close() error }{d.sql, d.store} {
			err = errors.Join(err, open.Close())
		}
		_, dropped := admin.ExecContext(ctx, "DROP DATABASE "+name)
		return errors.Join(err, dropped, admin.Close())
	}
	if d.store, err = postgres.Open(ctx, strings.Replace(server, "/"+config.Database, "/"+name, 1)); err != nil {
		return d, err
	}
	config.Database = name
	config.RuntimeParams["synchronous_commit"] = "off"
	config.RuntimeParams["maintenance_work_mem"] = "512MB"
	d.sql = stdlib.OpenDB(*config)
	d.sql.SetMaxOpenConns(1)
	d.indexes = `SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('users', 'sessions')
		AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`
	d.settle = []string{"VACUUM (ANALYZE)", "CHECKPOINT"}
	d.counts = true
	return d, nil
}

// prepare makes the tables ready to be filled.
func (d database) prepare(ctx context.Context, fillFactor int) error {
	if !d.counts || fillFactor == 0 {
		return nil
	}
	return d.execute(ctx, fmt.Sprintf("ALTER TABLE sessions SET (fillfactor = %d)", fillFactor))
}

func (d database) checkpoint(ctx context.Context) error {
	if !d.counts {
		return nil
	}
	return d.execute(ctx, "CHECKPOINT")
}

// A Log is the write-ahead log of one rotation.
type Log struct {
	Bytes  float64
	Images float64 // of full pages
}

func (l Log) since(before Log, rotations int) Log {
	n := float64(rotations)
	return Log{Bytes: (l.Bytes - before.Bytes) / n, Images: (l.Images - before.Images) / n}
}

// log is what was written since the server began.
func (d database) log(ctx context.Context) (l Log, err error) {
	if !d.counts {
		return l, nil
	}
	err = d.sql.QueryRowContext(ctx, `SELECT pg_current_wal_lsn() - '0/0', wal_fpi FROM pg_stat_wal`).Scan(&l.Bytes, &l.Images)
	return l, err
}

// hot is the share of the updates that changed no index.
func (d database) hot(ctx context.Context) (share float64, err error) {
	if !d.counts {
		return 0, nil
	}
	err = d.sql.QueryRowContext(ctx, `SELECT CAST(n_tup_hot_upd AS FLOAT) / n_tup_upd FROM pg_stat_user_tables
		WHERE relname = 'sessions'`).Scan(&share)
	return share, err
}

// size is that of the sessions and their indexes; of everything on SQLite.
func (d database) size(ctx context.Context) (bytes int64, err error) {
	question := "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	if d.counts {
		question = "SELECT pg_total_relation_size('sessions')"
	}
	err = d.sql.QueryRowContext(ctx, question).Scan(&bytes)
	return bytes, err
}
