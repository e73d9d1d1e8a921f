package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// PRAGMA data_version of a connection is a number that changes whenever another
// connection, of this or another process, has committed a change. The numbers of two
// connections are not comparable. The functions below use the driver directly, which takes
// half of the time of database/sql.
const dataVersion = "PRAGMA data_version"

// A checker is a connection of its own that reads data_version with a prepared statement.
type checker struct {
	conn driver.Conn
	stmt driver.Stmt
}

func openChecker(d driver.Driver, path string) (*checker, error) {
	conn, err := d.Open(sourceName(path, "deferred", []string{"query_only(1)"}))
	if err != nil {
		return nil, err
	}
	stmt, err := conn.Prepare(dataVersion)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &checker{conn, stmt}, nil
}

func (c *checker) version() (int64, error) {
	rows, err := c.stmt.(driver.StmtQueryContext).QueryContext(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	return scanVersion(rows)
}

func (c *checker) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.stmt.Close(), c.conn.Close())
}

// versionOf reads data_version on a connection of a pool. It prepares the statement each
// time: the pool may close the connection, and closing leaks one with an open statement.
func versionOf(conn driver.Conn) (int64, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(context.Background(), dataVersion, nil)
	if err != nil {
		return 0, err
	}
	return scanVersion(rows)
}

// scanVersion closes rows, which ends the read transaction.
func scanVersion(rows driver.Rows) (int64, error) {
	var row [1]driver.Value
	if err := errors.Join(rows.Next(row[:]), rows.Close()); err != nil {
		return 0, err
	}
	version, ok := row[0].(int64)
	if !ok {
		return 0, fmt.Errorf("data_version is a %T", row[0])
	}
	return version, nil
}
