package sqlstore

import "github.com/watchword-auth/watchword"

// LiveStatement returns the query for several sessions. Its argument is an array of session ids, which may contain
// duplicates. For each id that exists, it returns one row: the position of the id in the array, the session and its
// user. The rows have no order.
func LiveStatement() string {
	return `SELECT asked.position, ` + sessionColumns + `, ` + userColumns + `
		FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, position)
		JOIN sessions ON sessions.id = asked.id JOIN users ON users.id = sessions.user_id`
}

// A Live is one row of LiveStatement.
type Live struct {
	Position int // in the list of ids, from 1
	Session  watchword.Session
	User     watchword.User
	Err      error // see Rotated
}

// ScanLive reads one row.
func ScanLive(row rowScanner) (l Live, err error) {
	into := tolerantTargets(append(sessionRow(&l.Session), userRow(&l.User)...), &l.Err)
	return l, row.Scan(append([]any{&l.Position}, into...)...)
}
