package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
)

const (
	// insertMailToken replaces a token with the same hash, because several attempts to send a mail use the same
	// token. The row then has the expiry of the last attempt.
	insertMailToken = `INSERT INTO mail_tokens (hash, kind, user_id, email, expires_at, signup_id)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (hash) DO UPDATE SET kind = excluded.kind, user_id = excluded.user_id,
			email = excluded.email, expires_at = excluded.expires_at, signup_id = excluded.signup_id`
	selectMailToken = `SELECT hash, kind, user_id, email, expires_at, signup_id FROM mail_tokens
		WHERE hash = $1 AND kind = $2 AND expires_at > $3`
	selectMailTokens = `SELECT hash, kind, user_id, email, expires_at, signup_id FROM mail_tokens
		WHERE user_id = $1 AND kind = $2 AND expires_at > $3 ORDER BY expires_at, hash`
	extendMailToken = `UPDATE mail_tokens SET expires_at = $1 WHERE hash = $2`

	// takeMailToken accepts a token once: of two concurrent requests, only one deletes the row. It also checks kind
	// and expiry, so the caller need not read the token before.
	takeMailToken    = `DELETE FROM mail_tokens WHERE hash = $1 AND kind = $2 AND expires_at > $3`
	deleteMailTokens = `DELETE FROM mail_tokens WHERE user_id = $1 AND kind = $2`
	deleteLaterMails = `DELETE FROM mail_tokens WHERE user_id = $1 AND kind = $2 AND expires_at > $3`
	deleteSentTokens = `DELETE FROM mail_tokens WHERE email = $1 AND kind = $2`
	lastMailToken    = `SELECT COALESCE(MAX(expires_at), 0) FROM mail_tokens
		WHERE user_id = $1 AND kind = $2 AND expires_at > $3`
	selectSentTokens = `SELECT EXISTS (SELECT 1 FROM mail_tokens
		WHERE email = $1 AND kind = $2 AND expires_at > $3)`

	mailColumns = `id, kind, recipient, user_id, facts, created_at, next_at, attempts, last_error, given_up_at`
	insertMail  = `INSERT INTO mails (id, kind, recipient, user_id, facts, created_at, next_at,
			attempts, last_error, given_up_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	// claimMail gives a due mail to only one of several concurrent processes. It sets next_at to a time in the
	// future, when the claim expires.
	//
	// The sub-selects of two processes may choose the same mail. The second process then waits for the row lock, and
	// checks the outer condition again. This condition is now false, so the second process changes no row and tries
	// again later.
	claimMail = `UPDATE mails SET next_at = $1, attempts = attempts + 1
		WHERE next_at <= $2 AND given_up_at = 0
			AND id = (SELECT id FROM mails WHERE given_up_at = 0 AND next_at <= $2 ORDER BY next_at, id LIMIT 1)
		RETURNING ` + mailColumns
	postponeMail = `UPDATE mails SET next_at = $1, last_error = $2, given_up_at = $3 WHERE id = $4`
	deleteMail   = `DELETE FROM mails WHERE id = $1`
	selectMails  = `SELECT ` + mailColumns + ` FROM mails ORDER BY created_at, id LIMIT $1`

	// retryMail and retryMails also reset the number of attempts, so that the backoff
	// starts again.
	retryMail  = `UPDATE mails SET next_at = $1, attempts = 0, given_up_at = 0 WHERE id = $2`
	retryMails = `UPDATE mails SET next_at = $1, attempts = 0, given_up_at = 0`

	// outbox stops counting at $1 mails, so that its cost stays bounded.
	outbox = `SELECT
		(SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE given_up_at = 0 ORDER BY created_at LIMIT $1) AS waiting),
		(SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE given_up_at > 0 ORDER BY given_up_at LIMIT $1) AS given_up),
		COALESCE((SELECT created_at FROM mails WHERE given_up_at = 0 ORDER BY created_at LIMIT 1), 0)`
)

func (t Tx) InsertMailToken(ctx context.Context, m watchword.MailToken) error {
	_, err := t.exec(ctx, insertMailToken, m.Hash, m.Kind, m.UserID, m.Email, toMillis(m.ExpiresAt), m.SignupID)
	return err
}

func (t Tx) MailToken(
	ctx context.Context, hash string, kind watchword.MailKind, now time.Time,
) (watchword.MailToken, error) {
	return queryRow(ctx, t, scanMailToken, selectMailToken, hash, kind, toMillis(now))
}

func scanMailToken(s rowScanner) (m watchword.MailToken, err error) {
	return m, s.Scan(&m.Hash, &m.Kind, &m.UserID, &m.Email, timeColumn{&m.ExpiresAt}, &m.SignupID)
}

func (t Tx) MailTokens(
	ctx context.Context, id watchword.UserID, kind watchword.MailKind, now time.Time,
) ([]watchword.MailToken, error) {
	return queryRows(ctx, t, scanMailToken, selectMailTokens, id, kind, toMillis(now))
}

// ExtendMailToken changes the expiry of a token. It reports false if the token no longer exists, because it was used
// or deleted.
func (t Tx) ExtendMailToken(ctx context.Context, hash string, expires time.Time) (bool, error) {
	return t.tryChange(ctx, extendMailToken, toMillis(expires), hash)
}

// TakeMailToken reports true to only one of several concurrent callers, see takeMailToken.
func (t Tx) TakeMailToken(ctx context.Context, hash string, kind watchword.MailKind, now time.Time) (bool, error) {
	return t.tryChange(ctx, takeMailToken, hash, kind, toMillis(now))
}

// DeleteMailTokens runs one statement for each kind, because the two drivers pass lists in different ways.
func (t Tx) DeleteMailTokens(ctx context.Context, id watchword.UserID, kinds ...watchword.MailKind) error {
	for _, kind := range kinds {
		if _, err := t.exec(ctx, deleteMailTokens, id, kind); err != nil {
			return err
		}
	}
	return nil
}

func (t Tx) DeleteMailTokensAfter(
	ctx context.Context, id watchword.UserID, kind watchword.MailKind, expires time.Time,
) error {
	_, err := t.exec(ctx, deleteLaterMails, id, kind, toMillis(expires))
	return err
}

// DeleteSentTokens deletes the tokens that were sent to an address. It can't find them by user, because a waiting
// sign-up has no user yet.
func (t Tx) DeleteSentTokens(ctx context.Context, email watchword.Address, kind watchword.MailKind) error {
	_, err := t.exec(ctx, deleteSentTokens, email, kind)
	return err
}

func (t Tx) SentTokenWorks(
	ctx context.Context, email watchword.Address, kind watchword.MailKind, now time.Time,
) (bool, error) {
	return queryRow(ctx, t, scanBool, selectSentTokens, email, kind, toMillis(now))
}

// LastMailToken returns the latest expiry of the user's valid tokens of one kind. It returns the zero time if no
// token is valid: MAX returns NULL, which the statement converts to 0.
func (t Tx) LastMailToken(
	ctx context.Context, id watchword.UserID, kind watchword.MailKind, now time.Time,
) (time.Time, error) {
	return queryRow(ctx, t, func(s rowScanner) (expires time.Time, err error) {
		return expires, s.Scan(timeColumn{&expires})
	}, lastMailToken, id, kind, toMillis(now))
}

// scanMail reads the columns in the order of mailColumns.
func scanMail(s rowScanner) (m watchword.Mail, err error) {
	return m, s.Scan(&m.ID, &m.Kind, &m.To, &m.UserID, jsonColumn{jsonFacts(&m)},
		timeColumn{&m.CreatedAt}, timeColumn{&m.NextAt}, &m.Attempts, &m.LastError, timeColumn{&m.GivenUpAt})
}

// jsonFacts lists the fields of a mail that the column facts stores as JSON.
func jsonFacts(m *watchword.Mail) any {
	return &struct {
		*watchword.MailFacts
		*watchword.MailCause
	}{&m.Facts, &m.Cause}
}

// InsertMail stores the facts as JSON, because each kind of mail has different facts and no statement searches in
// them.
func (t Tx) InsertMail(ctx context.Context, m watchword.Mail) error {
	facts, err := json.Marshal(jsonFacts(&m))
	if err != nil {
		return fmt.Errorf("encode facts of mail: %w", err)
	}
	_, err = t.exec(ctx, insertMail, m.ID, m.Kind, m.To, m.UserID, string(facts),
		toMillis(m.CreatedAt), toMillis(m.NextAt), m.Attempts, m.LastError, toMillis(m.GivenUpAt))
	return err
}

// ClaimMail returns ErrNotFound if no mail is due, or if another process claims the first due mail at the same time.
func (t Tx) ClaimMail(ctx context.Context, now, until time.Time) (watchword.Mail, error) {
	return queryRow(ctx, t, scanMail, claimMail, toMillis(until), toMillis(now))
}

func (t Tx) PostponeMail(ctx context.Context, id string, next time.Time, why string, givenUp time.Time) error {
	_, err := t.exec(ctx, postponeMail, toMillis(next), why, toMillis(givenUp), id)
	return err
}

// DeleteMail returns no error if the mail does not exist, because another process may have sent or deleted it.
func (t Tx) DeleteMail(ctx context.Context, id string) error {
	_, err := t.exec(ctx, deleteMail, id)
	return err
}

func (t Tx) Mails(ctx context.Context, limit int) ([]watchword.Mail, error) {
	return queryRows(ctx, t, scanMail, selectMails, limit)
}

// RetryMail returns the number of mails that it made due. It returns 0 for an unknown id.
func (t Tx) RetryMail(ctx context.Context, id string, now time.Time) (int, error) {
	if id == "" {
		return t.exec(ctx, retryMails, toMillis(now))
	}
	return t.exec(ctx, retryMail, toMillis(now), id)
}

// Outbox counts at most watchword.OutboxCounted mails of each state, so that a long outbox does not slow down the
// metrics.
func (t Tx) Outbox(ctx context.Context) (waiting, givenUp int, oldest time.Time, err error) {
	type counts struct {
		waiting, givenUp int
		oldest           time.Time
	}
	c, err := queryRow(ctx, t, func(s rowScanner) (c counts, err error) {
		return c, s.Scan(&c.waiting, &c.givenUp, timeColumn{&c.oldest})
	}, outbox, watchword.OutboxCounted)
	return c.waiting, c.givenUp, c.oldest, err
}
