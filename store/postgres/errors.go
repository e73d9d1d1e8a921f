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

// unavailable marks the errors after which it may work again without a change of
// program: whatever is no answer of the database at all, and the answers by which
// it says that it can't at this moment (PostgreSQL, appendix A). A cancellation
// by the caller stays what it is.
func unavailable(err error) error {
	if err == nil || errors.Is(err, watchword.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		if inTheWay(err) {
			return err // Update tries again
		}
		if readOnly(err) || answer.Code == "53100" { // no disk space left
			return fmt.Errorf("%w: %w", watchword.ErrNotWritable, err)
		}
		switch answer.Code[:2] {
		case "08", "53", "55", "57", "58", "XX": // connection, resources, locks, operator, system, corruption
		case "25": // a read-only transaction: this is a standby
		default:
			return err
		}
	}
	return fmt.Errorf("%w: %w", watchword.ErrUnavailable, err)
}

// readOnly reports that the server takes no writes any more: it was the primary,
// and is a standby now.
func readOnly(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "25006"
}

// isUnprepared reports that a prepared statement is not there, or is there already:
// one connection of ours is several of the server.
func isUnprepared(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "26000" || answer.Code == "42P05")
}

// isOutdatedPlan reports that a prepared statement would answer other columns now
// than when it was prepared. (The code is shared with other errors, the text is
// translated.)
func isOutdatedPlan(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "0A000" && answer.Routine == "RevalidateCachedQuery"
}

// inTheWay reports whether another transaction was, so that the same one may
// succeed when it is run again: serialization, deadlock, and a unique value that
// somebody else was just about to insert. Who waited for a lock in vain has waited
// long enough.
func inTheWay(err error) bool {
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

// A connectError says each thing once and in one line: hosts are tried one by one,
// and each with TLS and without.
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
