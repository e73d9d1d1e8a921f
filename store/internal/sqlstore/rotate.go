package sqlstore

import (
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

// RotateStatement returns the statement for a number of charges. Its result is one row:
// how many charges were counted, whether the session was rotated, the columns of the
// session and the columns of the user. The latter two are NULL if it was not rotated.
//
// The rotation has the condition that each charge was counted. A part of the statement
// sees the RETURNING rows of the others, but not their changes to tables.
func RotateStatement(charges int) string {
	var with, taken strings.Builder
	condition := "" // on each charge, in front of RETURNING
	taken.WriteString("0")
	for i := range charges {
		fmt.Fprintf(&with, "charge%d AS (%s RETURNING 1), ", i, shifted(charge, i*chargeArgCount))
		fmt.Fprintf(&taken, " + (SELECT COUNT(*) FROM charge%d)", i)
		condition += fmt.Sprintf(" AND (SELECT COUNT(*) FROM charge%d) = 1", i)
	}
	rotate := shifted(rotateSession, charges*chargeArgCount)
	rotate = strings.Replace(rotate, "RETURNING", condition+" RETURNING", 1)
	// The LEFT JOIN on one constant row gives a result even without a rotation.
	columns := strings.ReplaceAll(sessionColumns, "sessions.", "rotated.")
	return "WITH " + with.String() + "rotated AS (" + rotate + ") SELECT " + taken.String() +
		", rotated.id IS NOT NULL, " + columns + ", " + userColumns +
		" FROM (VALUES (1)) AS always LEFT JOIN rotated ON TRUE LEFT JOIN users ON users.id = rotated.user_id"
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

// ScanRotate reads the row of RotateStatement. taken is the number of charges that were
// counted. It scans twice: the NULL columns of a session that was not rotated fit no
// field, so the first scan skips them.
func ScanRotate(row interface{ Scan(...any) error }) (taken int, result watchword.RotateResult, err error) {
	into := fields(append(sessionRow(&result.Session), userRow(&result.User)...))
	skipped := append([]any{&taken, &result.Rotated}, make([]any, len(into))...)
	if err = row.Scan(skipped...); err != nil || !result.Rotated {
		return taken, result, err
	}
	return taken, result, row.Scan(append([]any{nil, nil}, into...)...)
}
