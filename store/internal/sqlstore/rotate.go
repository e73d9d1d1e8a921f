package sqlstore

import (
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/watchword-auth/watchword"
)

// On PostgreSQL, a refresh is one round trip. A WITH clause may change rows there, so the
// charges, the rotation and the query for the user are one statement. It is built from the
// statements that Tx.Rotate runs one after the other on SQLite, so both databases decide
// alike.
//
// RotateStatement is for a single refresh. RotateManyStatement is for several: per refresh,
// it costs a fifth of a separate statement. For a single refresh it is a little slower.

// RotateStatement returns the statement for a number of charges. Its result is one row: the
// number 1, which charges were counted (Rotated.Counted), whether the session was rotated, the
// columns of the session and the columns of the user. The columns of session and user are NULL
// without a rotation.
//
// The first charge has the condition that no other limit is full, so a refusal changes no row
// and adds no row. Each later charge, and the rotation, has the condition that the charge before it
// was counted. A part of the statement sees the RETURNING rows of the others, but not their
// changes to tables. If a limit becomes full after the first condition was checked, the caller
// refunds the earlier charges.
func RotateStatement(charges int) string {
	var with, taken strings.Builder
	condition := noneFull(1, charges) // of the next part
	taken.WriteString("0")
	for i := range charges {
		one := strings.Replace(charge, "VALUES ($1, $2, $3)", "SELECT $1, $2, $3 WHERE "+condition, 1)
		fmt.Fprintf(&with, "charge%d AS (%s RETURNING 1), ", i, shifted(one, i*chargeArgCount))
		fmt.Fprintf(&taken, " + %d * (SELECT COUNT(*) FROM charge%d)", 1<<i, i)
		condition = fmt.Sprintf("(SELECT COUNT(*) FROM charge%d) = 1", i)
	}
	rotate := shifted(rotateSession, charges*chargeArgCount)
	rotate = strings.Replace(rotate, "RETURNING", "AND "+condition+" RETURNING", 1)
	// The LEFT JOIN on one constant row returns a row even without a rotation.
	columns := strings.ReplaceAll(sessionColumns, "sessions.", "rotated.")
	return "WITH " + with.String() + "rotated AS (" + rotate + ") SELECT 1, " + taken.String() +
		", rotated.id IS NOT NULL, " + columns + ", " + userColumns +
		" FROM (VALUES (1)) AS always LEFT JOIN rotated ON TRUE LEFT JOIN users ON users.id = rotated.user_id"
}

// noneFull is the condition that the limits of the charges first to end-1 have room.
func noneFull(first, end int) string {
	condition := "TRUE"
	for i := first; i < end; i++ {
		condition += shifted(" AND NOT EXISTS (SELECT 1 FROM limits WHERE key = $1 AND NOT "+hasRoom+")", i*chargeArgCount)
	}
	return condition
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// shifted adds by to the number of each parameter, because the parts of the combined
// statement share one list of arguments.
func shifted(text string, by int) string {
	return parameter.ReplaceAllStringFunc(text, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil {
			panic(err) // unreachable: the expression matches digits only
		}
		return "$" + strconv.Itoa(n+by)
	})
}

// RotateArgs returns the arguments of RotateStatement(len(r.Charges)).
func RotateArgs(r watchword.RotateRequest) []any {
	var args []any
	for _, c := range r.Charges {
		args = append(args, chargeArgs(c)...)
	}
	return append(args, rotateArgs(r)...)
}

// A Rotated is one row of RotateStatement or RotateManyStatement.
type Rotated struct {
	Position int // in the list of requests, from 1
	Counted  int // bit n is set if charge n was counted
	Result   watchword.RotateResult
	Err      error // the row holds a value that can't be read, for example a list that is not JSON
}

// AllCounted returns the value of Rotated.Counted if every charge was counted.
func AllCounted(r watchword.RotateRequest) int { return 1<<len(r.Charges) - 1 }

// ScanRotated reads one row. A value that can't be read is not an error of the whole result,
// because the other rows are committed, too.
func ScanRotated(row scanner) (r Rotated, err error) {
	into := tolerantFields(append(sessionRow(&r.Result.Session), userRow(&r.Result.User)...), &r.Err)
	// The NULL columns of a session that was not rotated fit no field. The first scan skips them.
	skipped := append([]any{&r.Position, &r.Counted, &r.Result.Rotated}, make([]any, len(into))...)
	if err = row.Scan(skipped...); err != nil || !r.Result.Rotated {
		return r, err
	}
	return r, row.Scan(append([]any{nil, nil, nil}, into...)...)
}

// tolerantFields is like fields, but its scanners store their error in err.
func tolerantFields(columns []column, err *error) []any {
	into := fields(columns)
	for i, field := range into {
		if s, ok := field.(sql.Scanner); ok {
			into[i] = tolerant{s, err}
		}
	}
	return into
}

// A tolerant scanner stores the error of a column. If it returned the error, the driver
// would end the whole result.
type tolerant struct {
	sql.Scanner
	err *error
}

func (t tolerant) Scan(src any) error {
	if err := t.Scanner.Scan(src); err != nil {
		*t.err = err
	}
	return nil
}
