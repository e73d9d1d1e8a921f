package sqlstore

import (
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/watchword-auth/watchword"
)

// PostgreSQL runs a whole refresh as one statement, in one round trip. The parts of its WITH clause count the
// charges, rotate the session and read the user. These parts are the same SQL texts that Tx.Rotate runs one after the
// other on SQLite, so both databases follow the same rules.
//
// RotateStatement handles one refresh. RotateManyStatement handles several, at a fifth of the cost per refresh. For a
// single refresh, RotateStatement is a little faster.

// RotateStatement returns the statement for one refresh with the given number of charges. The statement returns one
// row, which ScanRotated reads: the number 1, the counted charges (Rotated.Counted), whether the session was rotated,
// the session and the user. The columns of session and user are NULL if the session was not rotated.
//
// The first charge requires that all limits allow one more use, so a refused request changes no row. Each later
// charge requires that the previous charge was counted. The rotation requires the last charge.
//
// Another transaction may use up a limit after the first charge has checked it. Then some charges are counted and
// others are not, and the caller refunds the counted ones.
func RotateStatement(charges int) string {
	var with, taken strings.Builder
	condition := allLimitsAllow(1, charges) // the condition of the next charge, or of the rotation
	taken.WriteString("0")
	for i := range charges {
		one := strings.Replace(charge, "VALUES ($1, $2, $3)", "SELECT $1, $2, $3 WHERE "+condition, 1)
		fmt.Fprintf(&with, "charge%d AS (%s RETURNING 1), ", i, shiftPlaceholders(one, i*chargeArgCount))
		fmt.Fprintf(&taken, " + %d * (SELECT COUNT(*) FROM charge%d)", 1<<i, i)
		condition = fmt.Sprintf("(SELECT COUNT(*) FROM charge%d) = 1", i)
	}
	rotate := shiftPlaceholders(rotateSession, charges*chargeArgCount)
	rotate = strings.Replace(rotate, "RETURNING", "AND "+condition+" RETURNING", 1)
	// The LEFT JOIN on one constant row returns a row even if the session was not rotated.
	columns := strings.ReplaceAll(sessionColumns, "sessions.", "rotated.")
	return "WITH " + with.String() + "rotated AS (" + rotate + ") SELECT 1, " + taken.String() +
		", rotated.id IS NOT NULL, " + columns + ", " + userColumns +
		" FROM (VALUES (1)) AS always LEFT JOIN rotated ON TRUE LEFT JOIN users ON users.id = rotated.user_id"
}

// allLimitsAllow is the condition that each limit of the charges from firstCharge to endCharge-1 allows one more use.
func allLimitsAllow(firstCharge, endCharge int) string {
	condition := "TRUE"
	for i := firstCharge; i < endCharge; i++ {
		condition += shiftPlaceholders(
			" AND NOT EXISTS (SELECT 1 FROM limits WHERE key = $1 AND NOT "+hasRoom+")", i*chargeArgCount)
	}
	return condition
}

var placeholderPattern = regexp.MustCompile(`\$(\d+)`)

// shiftPlaceholders adds a number to each parameter: with 7, $1 becomes $8. The parts of the combined statement need
// different numbers, because they share one list of arguments.
func shiftPlaceholders(text string, by int) string {
	return placeholderPattern.ReplaceAllStringFunc(text, func(p string) string {
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
func ScanRotated(row rowScanner) (r Rotated, err error) {
	into := tolerantTargets(append(sessionRow(&r.Result.Session), userRow(&r.Result.User)...), &r.Err)
	// If the session was not rotated, its columns are NULL, which the fields can't store. The first scan skips these
	// columns.
	skipped := append([]any{&r.Position, &r.Counted, &r.Result.Rotated}, make([]any, len(into))...)
	if err = row.Scan(skipped...); err != nil || !r.Result.Rotated {
		return r, err
	}
	return r, row.Scan(append([]any{nil, nil, nil}, into...)...)
}

// tolerantTargets is like scanTargets, but its targets continue after a decoding error. If a value can't be decoded,
// its target stores the error in err.
func tolerantTargets(columns []column, err *error) []any {
	into := scanTargets(columns)
	for i, field := range into {
		if s, ok := field.(sql.Scanner); ok {
			into[i] = tolerantScanner{s, err}
		}
	}
	return into
}

// A tolerantScanner stores a decoding error instead of returning it, because the driver would stop reading the result
// at an error.
type tolerantScanner struct {
	sql.Scanner
	err *error
}

func (t tolerantScanner) Scan(src any) error {
	if err := t.Scanner.Scan(src); err != nil {
		*t.err = err
	}
	return nil
}
