package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
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

// openChecker opens the connection. It has query_only, because it must never change the number
// itself.
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

// version runs the statement, whose read transaction compares the connection's snapshot with
// the file. It then takes the number from the driver instead of from the row, which saves
// five allocations. The two numbers are the same on a connection that commits nothing. It is
// called for each signed-in request, so it uses no pool and no new statement.
func (c *checker) version() (int64, error) {
	if _, err := c.stmt.(driver.StmtExecContext).ExecContext(context.Background(), nil); err != nil {
		return 0, err
	}
	version, err := c.conn.(sqlite.FileControl).FileControlDataVersion("main")
	return int64(version), err
}

// close accepts a nil checker, because a store that failed to open may have none.
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
