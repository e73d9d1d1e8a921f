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

// sessionRow lists the columns of a session.
func sessionRow(s *watchword.Session) []column {
	return []column{
		{"id", &s.ID},
		{"user_id", &s.UserID},
		{"generation", &s.Generation},
		{"superseded", superseded{&s.Superseded}},
		{"forgiven", &s.Forgiven},
		{"rotated_at", moment{&s.RotatedAt}},
		{"rotated_by", &s.RotatedBy},
		{"refresh_key", &s.RefreshKey},
		{"persistent", flag{&s.Persistent}},
		{"device", &s.Device},
		{"address", &s.Address},
		{"authenticated_at", moment{&s.AuthenticatedAt}},
		{"methods", listColumn{&s.Methods}},
		{"created_at", moment{&s.CreatedAt}},
		{"expires_at", moment{&s.ExpiresAt}},
		{"ended_at", moment{&s.EndedAt}},
		{"ended_why", &s.EndedWhy},
	}
}

var (
	sessionColumns = names("sessions", sessionRow(new(watchword.Session)))

	insertSession = insertInto("sessions", sessionRow(new(watchword.Session)), "VALUES (%s)")
	selectSession = `SELECT ` + sessionColumns + `, ` + userColumns + `
		FROM sessions JOIN users ON users.id = sessions.user_id WHERE sessions.id = $1`
)

const (
	forgive     = `UPDATE sessions SET forgiven = $1 WHERE id = $2 AND generation = $1 AND ended_at = 0`
	endSession  = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE id = $3 AND ended_at = 0`
	endSessions = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE user_id = $3 AND id <> $4 AND ended_at = 0`
	endOldest   = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE user_id = $3 AND ended_at = 0
		AND id NOT IN (SELECT id FROM sessions WHERE user_id = $3 AND ended_at = 0 ORDER BY created_at DESC, id DESC LIMIT $4)`
	endNext = `UPDATE sessions SET ended_at = $1, ended_why = $2 WHERE ended_at = 0
		AND id IN (SELECT id FROM sessions WHERE id > $3 AND ended_at = 0 ORDER BY id LIMIT $4) RETURNING id`
)

// The statements that hold rule 1 of rotation.md.
var (
	selectSessions = `SELECT ` + sessionColumns + ` FROM sessions
		WHERE user_id = $1 AND ` + alive(2) + ` ORDER BY rotated_at DESC, id DESC`

	// rotateSession is rules 1 and 2. A time that lies before the last rotation
	// counts as that one, as in Judge. A superseding time is 13 digits: adding
	// ten to the thirteenth gives it leading zeros, and one digit to cut off.
	rotateSession = `UPDATE sessions SET generation = generation + 1,
			rotated_at = CASE WHEN rotated_at > $1 THEN rotated_at ELSE $1 END,
			superseded = substr(superseded, 14) ||
				substr(CAST(10000000000000 + CASE WHEN rotated_at > $1 THEN rotated_at ELSE $1 END AS TEXT), 2),
			rotated_by = $2, refresh_key = $3, address = $4
		WHERE id = $5 AND generation = $6 AND ` + alive(7) + `
			AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.disabled_at = 0)
		RETURNING ` + sessionColumns
)

// alive is rule 1 but for the user: Session.EndedBy in SQL. Its four parameters
// are those of aliveArgs, from $n on.
func alive(n int) string {
	return fmt.Sprintf(`ended_at = 0 AND expires_at > $%d AND created_at > $%d
		AND rotated_at > CASE WHEN persistent = 1 THEN CAST($%d AS BIGINT) ELSE CAST($%d AS BIGINT) END`, n, n+1, n+2, n+3)
}

const digits = 13 // of one superseding time, in milliseconds: until the year 2286

func aliveArgs(c watchword.Cutoffs) []any {
	return []any{ms(c.Now), ms(c.Created), ms(c.Rotated), ms(c.RotatedShort)}
}

// superseded is the column of Rotation.Superseded, oldest first.
type superseded struct {
	times *[watchword.SupersededKept]time.Time
}

func (s superseded) String() string {
	var text strings.Builder
	for _, t := range s.times {
		fmt.Fprintf(&text, "%0*d", digits, ms(t))
	}
	return text.String()
}

func (s superseded) Scan(src any) error {
	text, ok := src.(string)
	if !ok || len(text) != digits*len(s.times) {
		return fmt.Errorf("superseding times are %d digits", digits*len(s.times))
	}
	for i := range s.times {
		n, err := strconv.ParseInt(text[i*digits:(i+1)*digits], 10, 64)
		if err != nil {
			return err
		}
		if err := (moment{&s.times[i]}).Scan(n); err != nil {
			return err
		}
	}
	return nil
}

func scanSession(row scanner) (s watchword.Session, err error) {
	return s, row.Scan(fields(sessionRow(&s))...)
}

type sessionAndUser struct {
	watchword.Session
	watchword.User
}

func scanSessionAndUser(row scanner) (both sessionAndUser, err error) {
	return both, row.Scan(fields(append(sessionRow(&both.Session), userRow(&both.User)...))...)
}

func (t Tx) InsertSession(ctx context.Context, s watchword.Session) error {
	_, err := t.exec(ctx, insertSession, values(sessionRow(&s))...)
	return err
}

func (t Tx) Session(ctx context.Context, id watchword.SessionID) (watchword.Session, watchword.User, error) {
	both, err := row(ctx, t, scanSessionAndUser, selectSession, id)
	return both.Session, both.User, err
}

func (t Tx) Sessions(ctx context.Context, id watchword.UserID, c watchword.Cutoffs) ([]watchword.Session, error) {
	return rows(ctx, t, scanSession, selectSessions, append([]any{id}, aliveArgs(c)...)...)
}

func rotateArgs(r watchword.RotateRequest) []any {
	args := []any{ms(r.At), r.Agent, r.RefreshKey, r.Address, r.Session, r.Generation}
	return append(args, aliveArgs(r.Cutoffs)...)
}

// Rotate is the work of watchword.Store.Rotate, in a transaction of the caller.
func (t Tx) Rotate(ctx context.Context, r watchword.RotateRequest) (result watchword.RotateResult, err error) {
	for _, c := range r.Charges {
		wait, err := t.Charge(ctx, c)
		if err != nil {
			return result, err
		}
		result.Wait = max(result.Wait, wait)
	}
	if result.Wait > 0 {
		return result, nil
	}
	result.Session, err = row(ctx, t, scanSession, rotateSession, rotateArgs(r)...)
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

func (t Tx) Forgive(ctx context.Context, id watchword.SessionID, generation int64) (bool, error) {
	return t.change(ctx, forgive, generation, id)
}

func (t Tx) EndSession(ctx context.Context, id watchword.SessionID, why watchword.EndReason, at time.Time) (bool, error) {
	return t.change(ctx, endSession, ms(at), why, id)
}

func (t Tx) EndSessions(ctx context.Context, id watchword.UserID, except watchword.SessionID, why watchword.EndReason, at time.Time) (int, error) {
	return t.exec(ctx, endSessions, ms(at), why, id, except)
}

func (t Tx) EndOldestSessions(ctx context.Context, id watchword.UserID, keep int, why watchword.EndReason, at time.Time) (int, error) {
	return t.exec(ctx, endOldest, ms(at), why, id, keep)
}

func (t Tx) EndNextSessions(ctx context.Context, after watchword.SessionID, limit int, why watchword.EndReason, at time.Time) (watchword.SessionID, int, error) {
	ids, err := rows(ctx, t, func(s scanner) (id watchword.SessionID, err error) { return id, s.Scan(&id) },
		endNext, ms(at), why, after, limit)
	if err != nil || len(ids) == 0 {
		return after, 0, err
	}
	return slices.Max(ids), len(ids), nil // UUIDs of one form have the same order in each collation
}
