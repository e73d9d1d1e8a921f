package sqlstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/watchword-auth/watchword"
)

// One round trip: for a database that lets a query change rows (PostgreSQL), the
// charges, the rotation and the user are one statement. Its parts are the
// statements that SQLite runs one after the other.

// RotateStatement is that statement for a number of charges. It answers with one
// row: how many charges were taken, whether the session was rotated, and then the
// session and the user, null if it was not.
func RotateStatement(charges int) string {
	var with, taken strings.Builder
	condition := ""
	taken.WriteString("0")
	for i := range charges {
		fmt.Fprintf(&with, "charge%d AS (%s RETURNING 1), ", i, shifted(charge, i*chargeArgs))
		fmt.Fprintf(&taken, " + (SELECT COUNT(*) FROM charge%d)", i)
		condition += fmt.Sprintf(" AND (SELECT COUNT(*) FROM charge%d) = 1", i)
	}
	rotate := shifted(rotateSession, charges*chargeArgs)
	rotate = strings.Replace(rotate, "RETURNING", condition+" RETURNING", 1)
	columns := strings.ReplaceAll(sessionColumns, "sessions.", "rotated.")
	return "WITH " + with.String() + "rotated AS (" + rotate + ") SELECT " + taken.String() +
		", rotated.id IS NOT NULL, " + columns + ", " + userColumns +
		" FROM (VALUES (1)) AS always LEFT JOIN rotated ON TRUE LEFT JOIN users ON users.id = rotated.user_id"
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// shifted numbers the parameters of a statement from further on.
func shifted(text string, by int) string {
	return parameter.ReplaceAllStringFunc(text, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil {
			panic(err) // digits
		}
		return "$" + strconv.Itoa(n+by)
	})
}

// RotateArgs are the parameters of RotateStatement(len(r.Charges)).
func RotateArgs(r watchword.RotateRequest) []any {
	var args []any
	for _, c := range r.Charges {
		args = append(args, argsOfCharge(c)...)
	}
	return append(args, rotateArgs(r)...)
}

// ScanRotate reads the answer. taken is how many charges were.
func ScanRotate(row interface{ Scan(...any) error }) (taken int, result watchword.RotateResult, err error) {
	into := fields(append(sessionRow(&result.Session), userRow(&result.User)...))
	skipped := append([]any{&taken, &result.Rotated}, make([]any, len(into))...)
	if err = row.Scan(skipped...); err != nil || !result.Rotated {
		return taken, result, err
	}
	return taken, result, row.Scan(append([]any{nil, nil}, into...)...)
}
