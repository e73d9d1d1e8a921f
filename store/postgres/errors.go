package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/watchword-auth/watchword"
)

// classifyError wraps err in watchword.ErrUnavailable if a retry may succeed: the database did not respond, or
// returned a temporary error class (PostgreSQL documentation, appendix A). If the database accepts no writes, it
// wraps err in watchword.ErrNotWritable. It returns a cancellation by the caller unchanged.
func classifyError(err error) error {
	if err == nil || errors.Is(err, watchword.ErrUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		if isConflict(err) {
			return err // unchanged, because Update retries it
		}
		if isReadOnly(err) || answer.Code == "53100" { // no disk space left
			return fmt.Errorf("%w: %w", watchword.ErrNotWritable, err)
		}
		switch answer.Code[:2] {
		case "08", "53", "55", "57", "58", "XX": // connection, resources, locks, operator, system, corruption
		case "25": // a read-only transaction: the server is a standby
		default:
			return err
		}
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// isReadOnly reports whether the server refuses writes because it is a standby. After a failover, connections to the
// old primary return this error until they are closed.
func isReadOnly(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "25006"
}

// isStatementLost reports whether a prepared statement does not exist or exists already. The cause is a proxy that
// uses several server connections for one client connection.
func isStatementLost(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "26000" || answer.Code == "42P05")
}

// isOutdatedPlan reports whether a migration changed the columns that a prepared statement returns. It checks the
// name of the C function (Routine) in the error, because other errors have the same code and the message is
// translated.
func isOutdatedPlan(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "0A000" && answer.Routine == "RevalidateCachedQuery"
}

// isSharedPlan reports whether PostgreSQL refused to prepare a statement, because the connection already has an
// outdated statement of the same name. The outdated statement can only be from another client. A proxy therefore shares
// prepared statements between clients, as PgBouncer does by default from version 1.24 on.
func isSharedPlan(err error) bool {
	var preparing *pgconn.PrepareError
	return isOutdatedPlan(err) && errors.As(err, &preparing)
}

// isConflict reports whether a concurrent transaction caused the error: a serialization failure, a deadlock, or a
// duplicate of a unique value. A retry may then succeed. A lock timeout is not a conflict, because the caller has
// already waited long enough.
func isConflict(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case "40001", "40P01", "23505":
		return true
	}
	return false
}

func isLockTimeout(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "55P03"
}

// A connectError prints the cause of a failed connection in one line, without repetitions. pgx tries each host with
// and without TLS, and reports the same cause for each attempt. A short error helps operators who set the URL for the
// first time.
type connectError struct{ err error }

func (e connectError) Unwrap() error { return e.err }

func (e connectError) Error() string {
	var once []string
	for line := range strings.Lines(e.err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(once, line) {
			once = append(once, line)
		}
	}
	return strings.Join(once, " ")
}
