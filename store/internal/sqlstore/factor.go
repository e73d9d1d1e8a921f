package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// Second factors. A statement that consumes something (an attempt, a challenge, a time step, a
// recovery code) is conditional, and the number of changed rows decides. The engine and package
// factors run these statements in one transaction with those of sessions and accounts.

var _ factors.Tx = Tx{}

// factorRow lists the columns of a factor. sealed contains the secret of an authenticator app, and
// record contains the public half of a passkey. The other column is empty.
func factorRow(f *factors.Factor) []column {
	return []column{
		{"id", &f.ID},
		{"user_id", &f.UserID},
		{"kind", &f.Kind},
		{"name", &f.Name},
		{"sealed", &f.Sealed},
		{"credential_id", &f.CredentialID},
		{"record", &f.Record},
		{"unproven", boolColumn{&f.Unproven}},
		{"counter", &f.Counter},
		{"created_at", timeColumn{&f.CreatedAt}},
		{"last_used_at", timeColumn{&f.LastUsedAt}},
	}
}

// challengeRow lists the columns of a challenge.
func challengeRow(c *watchword.Challenge) []column {
	return []column{
		{"id", &c.ID},
		{"purpose", &c.Purpose},
		{"user_id", &c.UserID},
		{"session_id", &c.SessionID},
		{"factors_changed_at", timeColumn{&c.FactorsChangedAt}},
		{"sealed", &c.Sealed},
		{"attempts", &c.Attempts},
		{"created_at", timeColumn{&c.CreatedAt}},
		{"expires_at", timeColumn{&c.ExpiresAt}},
	}
}

var (
	insertChallenge = insertInto("challenges", challengeRow(new(watchword.Challenge)), "VALUES (%s)")

	// insertLoginChallenge also returns the factors that the response offers, so a sign-in needs no
	// second statement for them. The insert waits for no row, because its id is random and the table
	// has no foreign key. The sub-select therefore sees every change that was committed before the
	// statement. A later change makes the challenge invalid, see factors_changed_at. RETURNING returns
	// one row, so its text has one line for each factor. A record is JSON without line breaks.
	insertLoginChallenge = insertInto("challenges", challengeRow(new(watchword.Challenge)),
		`VALUES (%s) RETURNING (SELECT COALESCE(string_agg(kind || ' ' || credential_id || ' ' || record, '`+"\n"+`'
			ORDER BY created_at, id), '') FROM factors
			WHERE factors.user_id = `+parameterOf(challengeRow(new(watchword.Challenge)), "user_id")+`)`)

	selectChallenge = `SELECT ` + names("challenges", challengeRow(new(watchword.Challenge))) + ` FROM challenges
		WHERE id = $1 AND purpose = $2 AND expires_at > $3`

	// claimChallenge settles the race between parallel guesses: each guess is counted before its code
	// is checked, and the sixth changes no row. 5 is watchword.ChallengeAttempts.
	claimChallenge = `UPDATE challenges SET attempts = attempts + 1
		WHERE id = $1 AND purpose = $2 AND expires_at > $3 AND attempts < 5
		RETURNING ` + names("challenges", challengeRow(new(watchword.Challenge)))

	// selectUserWithFactors repeats the user in each row. An account has few factors.
	selectUserWithFactors = `SELECT ` + names("users", userRow(new(watchword.User))) + `, ` +
		names("factors", factorRow(new(factors.Factor))) + ` FROM users JOIN factors ON factors.user_id = users.id
		WHERE users.id = $1 ORDER BY factors.created_at, factors.id`

	// insertFactor settles the race between two confirmations, and between two accounts for one
	// passkey: the ids are unique.
	insertFactor = insertInto("factors", factorRow(new(factors.Factor)), "VALUES (%s) ON CONFLICT DO NOTHING")

	// selectFactors orders by age, so that a list keeps its order when a factor is used.
	selectFactors = `SELECT ` + names("factors", factorRow(new(factors.Factor))) + ` FROM factors
		WHERE user_id = $1 ORDER BY created_at, id`

	// proveSession settles the race between a step-up and the end of the session.
	proveSession = `UPDATE sessions SET methods = $1, authenticated_at = $2 WHERE id = $3 AND ` + alive(4)
)

const (
	// takeChallenge settles the race between two right codes: the deletion succeeds once. It has no
	// condition on attempts, because the fifth attempt may be the right one.
	takeChallenge    = `DELETE FROM challenges WHERE id = $1 AND purpose = $2 AND expires_at > $3`
	deleteChallenges = `DELETE FROM challenges WHERE user_id = $1`
	// deleteOldChallenges keeps the newest $4 challenges. Otherwise, a session could fill the table, because its
	// enrolments and step-ups have no other limit.
	deleteOldChallenges = `DELETE FROM challenges WHERE user_id = $1 AND session_id = $2 AND purpose = $3 AND id NOT IN
		(SELECT id FROM challenges WHERE user_id = $1 AND session_id = $2 AND purpose = $3
			ORDER BY created_at DESC, id DESC LIMIT $4)`

	// claimStep settles the race between two requests with one code, even across challenges and
	// processes: the counter only grows, so the second request changes no row.
	claimStep    = `UPDATE factors SET counter = $1, last_used_at = $2 WHERE id = $3 AND user_id = $4 AND counter < $1`
	renameFactor = `UPDATE factors SET name = $1 WHERE id = $2 AND user_id = $3`

	// deleteFactor does not delete the last way to sign in. It always deletes an authenticator app, which
	// alone can't sign in.
	deleteFactor  = `DELETE FROM factors WHERE id = $1 AND user_id = $2 AND (kind <> 'passkey' OR ` + anotherWayIn + `)`
	deleteFactors = `DELETE FROM factors WHERE user_id = $1`

	// DeleteFactors uses these. DeleteUser uses those without a time.
	deleteFactorsSince = `DELETE FROM factors WHERE user_id = $1 AND created_at >= $2`
	deleteCodesSince   = `DELETE FROM recovery_codes WHERE user_id = $1 AND created_at >= $2`
	deleteDevicesSince = `DELETE FROM devices WHERE user_id = $1 AND created_at >= $2`

	// countFactors advances factors_changed_at by at least a millisecond, so that two changes
	// at the same time differ. The caller's row lock keeps the sub-select current.
	countFactors = `UPDATE users SET factors = (SELECT COUNT(*) FROM factors WHERE user_id = $1 AND unproven = 0),
			factors_changed_at = CASE WHEN factors_changed_at < $2 THEN $2 ELSE factors_changed_at + 1 END WHERE id = $1`
	// lockFactors locks the row without a change.
	lockFactors = `UPDATE users SET factors = factors WHERE id = $1`

	selectSealedFactors = `SELECT id, sealed FROM factors WHERE id > $1 AND kind = 'totp' ORDER BY id LIMIT $2`
	sealFactor          = `UPDATE factors SET sealed = $1 WHERE id = $2`

	insertRecoveryCode  = `INSERT INTO recovery_codes (user_id, hash, created_at) VALUES ($1, $2, $3)`
	selectRecoveryCodes = `SELECT COUNT(*), COALESCE(MAX(created_at), 0) FROM recovery_codes WHERE user_id = $1`
	// takeRecoveryCode settles the race between two uses of one code: the deletion succeeds once.
	takeRecoveryCode    = `DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2`
	deleteRecoveryCodes = `DELETE FROM recovery_codes WHERE user_id = $1`
)

// InsertChallenge can't conflict, because the id is random.
func (t Tx) InsertChallenge(ctx context.Context, c watchword.Challenge) error {
	_, err := t.exec(ctx, insertChallenge, values(challengeRow(&c))...)
	return err
}

// InsertSessionChallenge deletes old challenges before it inserts. Otherwise, after a clock was set back, the new
// challenge could count as the oldest.
func (t Tx) InsertSessionChallenge(ctx context.Context, c watchword.Challenge, keep int) error {
	if _, err := t.exec(ctx, deleteOldChallenges, c.UserID, c.SessionID, string(c.Purpose), keep-1); err != nil {
		return err
	}
	return t.InsertChallenge(ctx, c)
}

func (t Tx) InsertLoginChallenge(ctx context.Context, c watchword.Challenge) ([]watchword.OfferedFactor, error) {
	lines, err := row(ctx, t, func(s scanner) (lines string, err error) { return lines, s.Scan(&lines) },
		insertLoginChallenge, values(challengeRow(&c))...)
	all := []watchword.OfferedFactor{}
	for line := range strings.Lines(lines) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		credential, record, _ := strings.Cut(rest, " ")
		all = append(all, watchword.OfferedFactor{Kind: kind, CredentialID: credential, Record: record})
	}
	return all, err
}

// Challenge requires the purpose in the query, so that no caller can forget to compare it.
func (t Tx) Challenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	return row(ctx, t, func(s scanner) (c watchword.Challenge, err error) {
		return c, s.Scan(fields(challengeRow(&c))...)
	}, selectChallenge, id, string(purpose), millis(now))
}

// ClaimChallenge must be committed before the code is checked, see claimChallenge. The returned
// row includes the attempt, because RETURNING shows the new values on both databases.
func (t Tx) ClaimChallenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	return row(ctx, t, func(s scanner) (c watchword.Challenge, err error) {
		return c, s.Scan(fields(challengeRow(&c))...)
	}, claimChallenge, id, string(purpose), millis(now))
}

// UserWithFactors reads a user and the factors in one round trip, because each sign-in with a
// factor needs both. For an account without a factor it returns ErrNotFound: the factors were
// removed after the password was checked, so the challenge is invalid anyway.
func (t Tx) UserWithFactors(
	ctx context.Context, id watchword.UserID,
) (u watchword.User, all []factors.Factor, err error) {
	all, err = rows(ctx, t, func(s scanner) (f factors.Factor, err error) {
		return f, s.Scan(append(fields(userRow(&u)), fields(factorRow(&f))...)...)
	}, selectUserWithFactors, id)
	if err == nil && len(all) == 0 {
		err = watchword.ErrNotFound
	}
	return u, all, err
}

// TakeChallenge reports true to one caller only, see takeChallenge.
func (t Tx) TakeChallenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	return t.change(ctx, takeChallenge, id, string(purpose), millis(now))
}

// InsertFactor reports false for a credential that another account has registered. The partial index decides, so two
// concurrent registrations of one passkey can't both succeed. A TOTP has no credential and never conflicts.
func (t Tx) InsertFactor(ctx context.Context, f factors.Factor) (bool, error) {
	return t.change(ctx, insertFactor, values(factorRow(&f))...)
}

// Factors returns the sealed secrets too, because a sign-in compares a code with each of them.
func (t Tx) Factors(ctx context.Context, id watchword.UserID) ([]factors.Factor, error) {
	return rows(ctx, t, func(s scanner) (f factors.Factor, err error) {
		return f, s.Scan(fields(factorRow(&f))...)
	}, selectFactors, id)
}

// ClaimStep requires the owner too, so that an id of another account has no effect.
func (t Tx) ClaimStep(ctx context.Context, f factors.Factor, step int64, at time.Time) (bool, error) {
	return t.change(ctx, claimStep, step, millis(at), f.ID, f.UserID)
}

// RenameFactor requires the owner too, like DeleteFactor.
func (t Tx) RenameFactor(ctx context.Context, id watchword.UserID, factor, name string) (bool, error) {
	return t.change(ctx, renameFactor, name, factor, id)
}

// DeleteFactor has the owner in its condition: an id that a user has guessed deletes no row of another account.
func (t Tx) DeleteFactor(
	ctx context.Context, id watchword.UserID, factor, spare string, offered []string,
) (bool, error) {
	return t.change(ctx, deleteFactor, factor, id, spare, idList(offered))
}

// CountFactors is a separate statement after the caller's lock, so that its sub-select sees the
// commit of the previous lock holder.
func (t Tx) CountFactors(ctx context.Context, id watchword.UserID, changed time.Time) error {
	return t.changeRow(ctx, countFactors, id, millis(changed))
}

// DeleteFactors changes the user's row first. It thereby waits for a concurrent enrolment, and
// deletes its factor as well.
func (t Tx) DeleteFactors(ctx context.Context, id watchword.UserID, since, changed time.Time) error {
	if err := t.changeRow(ctx, lockFactors, id); err != nil {
		return err
	}
	for _, text := range []string{deleteFactorsSince, deleteCodesSince, deleteDevicesSince} {
		if _, err := t.exec(ctx, text, id, millis(since)); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, deleteChallenges, id); err != nil {
		return err
	}
	return t.CountFactors(ctx, id, changed)
}

// SealedFactors continues after an id, as Users does after an address.
func (t Tx) SealedFactors(ctx context.Context, after string, limit int) ([]watchword.SealedFactor, error) {
	return rows(ctx, t, func(s scanner) (f watchword.SealedFactor, err error) {
		return f, s.Scan(&f.ID, &f.Sealed)
	}, selectSealedFactors, after, limit)
}

// SetSealedFactor replaces only the encryption. It has no effect if the factor was deleted.
func (t Tx) SetSealedFactor(ctx context.Context, f watchword.SealedFactor) error {
	_, err := t.exec(ctx, sealFactor, f.Sealed, f.ID)
	return err
}

// ProveSession changes no generation, so the refresh token of the session stays valid.
func (t Tx) ProveSession(
	ctx context.Context, id watchword.SessionID, methods []string, at time.Time, c watchword.Cutoffs,
) (bool, error) {
	return t.change(ctx, proveSession, append([]any{list(methods), millis(at), id}, aliveArgs(c)...)...)
}

// InsertRecoveryCode stores a hash. The codes are random, so a duplicate is a fault and fails.
func (t Tx) InsertRecoveryCode(ctx context.Context, id watchword.UserID, hash string, created time.Time) error {
	_, err := t.exec(ctx, insertRecoveryCode, id, hash, millis(created))
	return err
}

// RecoveryCodes counts at most ten rows of the primary key.
func (t Tx) RecoveryCodes(ctx context.Context, id watchword.UserID) (factors.RecoveryCodes, error) {
	return row(ctx, t, func(s scanner) (c factors.RecoveryCodes, err error) {
		return c, s.Scan(&c.Left, timeColumn{&c.CreatedAt})
	}, selectRecoveryCodes, id)
}

// TakeRecoveryCode reports true to one caller only, see takeRecoveryCode.
func (t Tx) TakeRecoveryCode(ctx context.Context, id watchword.UserID, hash string) (bool, error) {
	return t.change(ctx, takeRecoveryCode, id, hash)
}

func (t Tx) DeleteRecoveryCodes(ctx context.Context, id watchword.UserID) error {
	_, err := t.exec(ctx, deleteRecoveryCodes, id)
	return err
}
