package sqlstore

import (
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/watchword-auth/watchword"
)

// On PostgreSQL, a refresh is one round trip, because a WITH clause may change rows. One statement contains the
// charges, the rotation and the query for the user. It is built from the statements that Tx.Rotate runs one after the
// other on SQLite. Both databases therefore follow the same rules.
//
// RotateStatement handles one refresh. RotateManyStatement handles several, at a fifth of the cost per refresh. For
// one refresh, it is a little slower than RotateStatement.

// RotateStatement returns the statement for a refresh with this number of charges. Its result is one row: the number
// 1, which charges were counted (Rotated.Counted), whether the session was rotated, the columns of the session and
// the columns of the user. The columns of session and user are NULL if the session was not rotated.
//
// The first charge is counted only if no other limit is reached, so a refused request changes and inserts no row.
// Each later charge, and the rotation, requires that the previous charge was counted. The parts of the statement see
// each other's RETURNING rows, but not each other's changes to tables. Another transaction may therefore use up a
// limit after the first charge has checked it. The caller then refunds the counted charges.
func RotateStatement(charges int) string {
	var with, taken strings.Builder
	condition := noneFull(1, charges) // the condition of the next charge, or of the rotation
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

// noneFull returns the condition that the limits of the charges from first to end-1 allow one more use.
func noneFull(first, end int) string {
	condition := "TRUE"
	for i := first; i < end; i++ {
		condition += shifted(" AND NOT EXISTS (SELECT 1 FROM limits WHERE key = $1 AND NOT "+hasRoom+")", i*chargeArgCount)
	}
	return condition
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// shifted adds the argument by to each parameter number, because the parts of the combined statement share one list
// of arguments.
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
	Position int // index in the list of requests, from 1
	Counted  int // bit n is set if charge n was counted
	Result   watchword.RotateResult
	Err      error // set if a value can't be decoded, such as a list that is not JSON
}

// AllCounted returns the value that Rotated.Counted has if every charge was counted.
func AllCounted(r watchword.RotateRequest) int { return 1<<len(r.Charges) - 1 }

// ScanRotated reads one row. If a value can't be decoded, it sets Rotated.Err and returns no error, because the other
// rows of the result are valid and committed.
func ScanRotated(row scanner) (r Rotated, err error) {
	into := tolerantFields(append(sessionRow(&r.Result.Session), userRow(&r.Result.User)...), &r.Err)
	// If the session was not rotated, its columns are NULL, which the fields can't store. The first scan skips these
	// columns.
	skipped := append([]any{&r.Position, &r.Counted, &r.Result.Rotated}, make([]any, len(into))...)
	if err = row.Scan(skipped...); err != nil || !r.Result.Rotated {
		return r, err
	}
	return r, row.Scan(append([]any{nil, nil, nil}, into...)...)
}

// tolerantFields returns the same destinations as fields, but they store a decoding error in err.
func tolerantFields(columns []column, err *error) []any {
	into := fields(columns)
	for i, field := range into {
		if s, ok := field.(sql.Scanner); ok {
			into[i] = tolerant{s, err}
		}
	}
	return into
}

// A tolerant scanner stores a decoding error instead of returning it, because the driver would stop reading the
// result at an error.
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
