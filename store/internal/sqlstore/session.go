package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
)

func sessionRow(s *watchword.Session) []column {
	return []column{
		{"id", &s.ID},
		{"user_id", &s.UserID},
		{"generation", &s.Generation},
		{"superseded", supersededColumn{&s.Superseded}},
		{"forgiven", &s.Forgiven},
		{"rotated_at", timeColumn{&s.RotatedAt}},
		{"rotated_by", &s.RotatedBy},
		{"refresh_key", &s.RefreshKey},
		{"persistent", boolColumn{&s.Persistent}},
		{"device", &s.Device},
		{"address", &s.Address},
		{"authenticated_at", timeColumn{&s.AuthenticatedAt}},
		{"methods", listColumn{&s.Methods}},
		{"created_at", timeColumn{&s.CreatedAt}},
		{"expires_at", timeColumn{&s.ExpiresAt}},
		{"ended_at", timeColumn{&s.EndedAt}},
		{"ended_why", &s.EndedWhy},
	}
}

var (
	sessionColumns = selectList("sessions", sessionRow(new(watchword.Session)))

	insertSession = insertInto("sessions", sessionRow(new(watchword.Session)), "VALUES (%s)")
	selectSession = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = $1`
	selectSessionAlone = `SELECT ` + sessionColumns + ` FROM sessions WHERE id = $1`
)

const (
	// forgive records that the session has accepted a late token at generation $1 (docs/rotation.md). It changes no
	// row if a concurrent request has rotated or ended the session.
	forgive = `UPDATE sessions SET forgiven = $1 WHERE id = $2 AND generation = $1 AND ended_at = 0`

	// The statements that end sessions require ended_at = 0. If two requests end a session concurrently (a logout and
	// a reuse, for example), the first reason is kept, and the end is counted once.
	endSession  = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE id = $3 AND ended_at = 0`
	endSessions = `UPDATE sessions SET ended_at = $1, ended_why = $2
		WHERE user_id = $3 AND id <> $4 AND ended_at = 0`

	// endNext ends one batch of the sessions of all users. Small batches keep the row locks short.
	endNext = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE ended_at = 0
		AND id IN (SELECT id FROM sessions WHERE id > $3 AND ended_at = 0 ORDER BY id LIMIT $4) RETURNING id`
)

// These statements use the condition isActive, which is rule 1 of docs/rotation.md.
var (
	selectSessions = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = $1 AND ` + isActive(2) + ` ORDER BY rotated_at DESC, id DESC`

	// endOldest keeps the sessions with the newest sign-ins, not those used last. The caller has locked the user's
	// row, so no concurrent sign-in adds a session.
	endOldest = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE user_id = $3 AND ` + isActive(4) + `
		AND id NOT IN (SELECT id FROM sessions WHERE user_id = $3 AND ` + isActive(4) + `
			ORDER BY created_at DESC, id DESC LIMIT $8) RETURNING id`

	// rotateSession implements rules 1 and 2 of docs/rotation.md. Of two concurrent requests with the same token,
	// only the first rotates the session. The second request waits for the row lock, and then its condition on
	// generation is false.
	//
	// rotated_at never decreases: if the clock was set back, the previous time is kept, as in Judge.
	//
	// The column superseded contains times of 13 digits each, the oldest first. The statement removes the oldest time
	// and appends the new one. To pad the new time with zeros, the statement adds 10^13 to it, and then removes the
	// first of the 14 digits.
	rotateSession = `UPDATE sessions ` + rotation + ` RETURNING ` + sessionColumns
	rotateKnown   = `UPDATE sessions ` + rotation
	rotation      = `SET generation = generation + 1,
			rotated_at = CASE WHEN rotated_at > $1 THEN rotated_at ELSE $1 END,
			superseded = substr(superseded, 14) ||
				substr(CAST(10000000000000 + CASE WHEN rotated_at > $1 THEN rotated_at ELSE $1 END AS TEXT), 2),
			rotated_by = $2, refresh_key = $3, address = $4
		WHERE id = $5 AND generation = $6 AND ` + isActive(7) + `
			AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.disabled_at = 0)`
)

// isActive is the SQL condition for an active session: rule 1 of docs/rotation.md, except that it does not check the
// user. It has four parameters from $n on, and isActiveArgs returns their values. A test of storetest compares it
// with Session.EndedBy, the same rule in Go.
func isActive(n int) string {
	return fmt.Sprintf(`ended_at = 0 AND expires_at > $%d AND created_at > $%d
		AND rotated_at > CASE WHEN persistent = 1 THEN CAST($%d AS BIGINT) ELSE CAST($%d AS BIGINT) END`, n, n+1, n+2, n+3)
}

// timeDigits is the length of one time in the column superseded, in milliseconds: enough until the year 2286.
const timeDigits = 13

func isActiveArgs(c watchword.Cutoffs) []any {
	return []any{toMillis(c.Now), toMillis(c.Created), toMillis(c.Rotated), toMillis(c.RotatedShort)}
}

// supersededColumn stores Rotation.Superseded as text of a fixed width, oldest time first. With this format,
// rotateSession can drop the oldest time and append the new one without reading the row before.
type supersededColumn struct {
	times *[watchword.SupersededKept]time.Time
}

// String returns the value of the column. The zero time is 13 zeros.
func (s supersededColumn) String() string {
	var text strings.Builder
	for _, t := range s.times {
		fmt.Fprintf(&text, "%0*d", timeDigits, toMillis(t))
	}
	return text.String()
}

func (s supersededColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok || len(text) != timeDigits*len(s.times) {
		return fmt.Errorf("scan superseded: want %d digits", timeDigits*len(s.times))
	}
	for i := range s.times {
		n, err := strconv.ParseInt(text[i*timeDigits:(i+1)*timeDigits], 10, 64)
		if err != nil {
			return err
		}
		if err := (timeColumn{&s.times[i]}).Scan(n); err != nil {
			return err
		}
	}
	return nil
}

// scanSession scans the columns of sessionRow. The statements select the same list, so a new column is never scanned
// into the wrong field.
func scanSession(row rowScanner) (s watchword.Session, err error) {
	return s, row.Scan(scanTargets(sessionRow(&s))...)
}

func scanSessionID(row rowScanner) (id watchword.SessionID, err error) { return id, row.Scan(&id) }

type sessionAndUser struct {
	watchword.Session
	watchword.User
}

func scanSessionAndUser(row rowScanner) (both sessionAndUser, err error) {
	return both, row.Scan(scanTargets(append(sessionRow(&both.Session), userRow(&both.User)...))...)
}

func (t Tx) InsertSession(ctx context.Context, s watchword.Session) error {
	_, err := t.exec(ctx, insertSession, insertArgs(sessionRow(&s))...)
	return err
}

// Session returns a session and its user. It returns ErrNotFound if the user was deleted, even if the session still
// exists: the table has no foreign key (see DeleteUser), so the sweep deletes such sessions later.
func (t Tx) Session(ctx context.Context, id watchword.SessionID) (watchword.Session, watchword.User, error) {
	both, err := queryRow(ctx, t, scanSessionAndUser, selectSession, id)
	return both.Session, both.User, err
}

// SessionAlone does not join the user, so callbacks can read the sessions of a deleted account.
func (t Tx) SessionAlone(ctx context.Context, id watchword.SessionID) (watchword.Session, error) {
	return queryRow(ctx, t, scanSession, selectSessionAlone, id)
}

func (t Tx) Sessions(ctx context.Context, id watchword.UserID, c watchword.Cutoffs) ([]watchword.Session, error) {
	return queryRows(ctx, t, scanSession, selectSessions, append([]any{id}, isActiveArgs(c)...)...)
}

func rotateArgs(r watchword.RotateRequest) []any {
	args := make([]any, 0, 6+4)
	args = append(args, toMillis(r.At), r.Agent, r.RefreshKey, r.Address, r.Session, r.Generation)
	return append(args, isActiveArgs(r.Cutoffs)...)
}

// Rotate implements watchword.Store.Rotate inside a transaction of the caller. A refused charge is a result and not
// an error, because an error would roll back the refunds. The user is read after the rotation, in the same
// transaction.
func (t Tx) Rotate(ctx context.Context, r watchword.RotateRequest) (result watchword.RotateResult, err error) {
	if result.Wait, err = t.chargeAll(ctx, r.Charges); err != nil || result.Wait > 0 {
		return result, err
	}
	result.Session, err = queryRow(ctx, t, scanSession, rotateSession, rotateArgs(r)...)
	if errors.Is(err, watchword.ErrNotFound) {
		return watchword.RotateResult{}, nil
	}
	if err != nil {
		return watchword.RotateResult{}, err
	}
	result.Rotated = true
	result.User, err = t.User(ctx, result.Session.UserID)
	return result, err
}

// RotateKnown is Rotate for a caller that has already read the session and the user in this transaction. It does not
// read the new row. Instead, it computes the rotated session from the old one. The statement still checks all
// conditions.
func (t Tx) RotateKnown(
	ctx context.Context, r watchword.RotateRequest, session watchword.Session, user watchword.User,
) (result watchword.RotateResult, err error) {
	if result.Wait, err = t.chargeAll(ctx, r.Charges); err != nil || result.Wait > 0 {
		return result, err
	}
	result.Rotated, err = t.tryChange(ctx, rotateKnown, rotateArgs(r)...)
	if err != nil || !result.Rotated {
		return result, err
	}
	p := r.Presentation
	p.At = time.UnixMilli(toMillis(r.At)).UTC() // rounded to milliseconds, like the stored time
	verdict, rotation := watchword.Judge(session.Rotation, watchword.RotationPolicy{}, p)
	// Judge and the statement use the same rule. If they disagree, the caller passed an outdated row.
	if verdict != watchword.VerdictRotate {
		return watchword.RotateResult{}, fmt.Errorf("session %s was rotated, but the known row gives %s", r.Session, verdict)
	}
	session.Rotation, session.RefreshKey, session.Address = rotation, r.RefreshKey, r.Address
	result.Session, result.User = session, user
	return result, nil
}

// chargeAll counts all charges and returns 0. If a charge is refused, chargeAll refunds the earlier charges and
// returns how long the refused one must wait.
func (t Tx) chargeAll(ctx context.Context, charges []watchword.Charge) (wait time.Duration, err error) {
	for i, c := range charges {
		if wait, err = t.Charge(ctx, c); err != nil {
			return 0, err
		}
		if wait > 0 {
			return wait, t.refundAll(ctx, charges[:i])
		}
	}
	return 0, nil
}

func (t Tx) refundAll(ctx context.Context, charges []watchword.Charge) error {
	for _, c := range charges {
		if err := t.Refund(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// Forgive reports false if the generation is no longer the newest.
func (t Tx) Forgive(ctx context.Context, id watchword.SessionID, generation int64) (bool, error) {
	return t.tryChange(ctx, forgive, generation, id)
}

// EndSession reports false if the session has already ended. The first reason is kept.
func (t Tx) EndSession(
	ctx context.Context, id watchword.SessionID, why watchword.EndReason, at time.Time,
) (bool, error) {
	return t.tryChange(ctx, endSession, toMillis(at), why, id)
}

// EndSessions does not end a session that a concurrent transaction inserts. Callers first lock the user's row
// (ReplacePassword, LockUser), so that no sign-in runs at the same time.
func (t Tx) EndSessions(
	ctx context.Context, id watchword.UserID, except watchword.SessionID, why watchword.EndReason, at time.Time,
) (int, error) {
	return t.exec(ctx, endSessions, toMillis(at), why, id, except)
}

func (t Tx) EndOldestSessions(
	ctx context.Context, id watchword.UserID, keep int, why watchword.EndReason, c watchword.Cutoffs,
) ([]watchword.SessionID, error) {
	args := slices.Concat([]any{toMillis(c.Now), why, id}, isActiveArgs(c), []any{keep})
	return queryRows(ctx, t, scanSessionID, endOldest, args...)
}

// EndNextSessions ends the next active sessions with an id above the cursor, at most limit. It returns the last
// ended id and the number of ended sessions. If no active session is left, it returns the unchanged cursor, and 0.
func (t Tx) EndNextSessions(
	ctx context.Context, cursor watchword.SessionID, limit int, why watchword.EndReason, at time.Time,
) (watchword.SessionID, int, error) {
	ids, err := queryRows(ctx, t, scanSessionID, endNext, toMillis(at), why, cursor, limit)
	if err != nil || len(ids) == 0 {
		return cursor, 0, err
	}
	// slices.Max finds the last id, because RETURNING has no order. Go compares lower-case UUIDs as every collation
	// does.
	return slices.Max(ids), len(ids), nil
}
