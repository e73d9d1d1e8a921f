package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// Second factors. A statement that consumes something (an attempt, a challenge, a time step, a recovery code) has a
// condition, and succeeds only if it changed a row. The engine and package factors run these statements in one
// transaction with statements on sessions and accounts.

var _ factors.Tx = Tx{}

// factorRow has the columns sealed and record. For an authenticator app, sealed contains the encrypted secret, and
// record is empty. For a passkey, record contains the public key, and sealed is empty.
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

	// insertLoginChallenge inserts a challenge and returns the user's factors, which the response offers to the user.
	// One statement for both saves a statement per sign-in.
	//
	// The list of factors is current, because the insert never waits for a lock: its id is random and the table has
	// no foreign key. If the factors change later, the challenge becomes invalid (factors_changed_at).
	//
	// RETURNING returns one row, so all factors are in one text, with one line per factor. A record is JSON without
	// line breaks.
	insertLoginChallenge = insertInto("challenges", challengeRow(new(watchword.Challenge)),
		`VALUES (%s) RETURNING (SELECT COALESCE(string_agg(kind || ' ' || credential_id || ' ' || record, '`+"\n"+`'
			ORDER BY created_at, id), '') FROM factors
			WHERE factors.user_id = `+placeholderOf(challengeRow(new(watchword.Challenge)), "user_id")+`)`)

	selectChallenge = `SELECT ` + selectList("challenges", challengeRow(new(watchword.Challenge))) + ` FROM challenges
		WHERE id = $1 AND purpose = $2 AND expires_at > $3`

	// claimChallenge counts each guess before its code is checked, so parallel guesses can't exceed the limit: the
	// sixth guess changes no row. The number 5 is watchword.ChallengeAttempts.
	claimChallenge = `UPDATE challenges SET attempts = attempts + 1
		WHERE id = $1 AND purpose = $2 AND expires_at > $3 AND attempts < 5
		RETURNING ` + selectList("challenges", challengeRow(new(watchword.Challenge)))

	// selectUserWithFactors repeats the user's columns in the row of each factor, which costs little: an account has
	// few factors.
	selectUserWithFactors = `SELECT ` + selectList("users", userRow(new(watchword.User))) + `, ` +
		selectList("factors", factorRow(new(factors.Factor))) + ` FROM users JOIN factors ON factors.user_id = users.id
		WHERE users.id = $1 ORDER BY factors.created_at, factors.id`

	// insertFactor inserts no row if a concurrent request has inserted the same factor, or if another account has
	// registered the same passkey. The ids and credential ids are unique.
	insertFactor = insertInto("factors", factorRow(new(factors.Factor)), "VALUES (%s) ON CONFLICT DO NOTHING")

	// selectFactors orders by age, so that using a factor does not change the order of a list.
	selectFactors = `SELECT ` + selectList("factors", factorRow(new(factors.Factor))) + ` FROM factors
		WHERE user_id = $1 ORDER BY created_at, id`

	// proveSession changes no row if a concurrent request has ended the session.
	proveSession = `UPDATE sessions SET methods = $1, authenticated_at = $2 WHERE id = $3 AND ` + isActive(4)
)

const (
	// takeChallenge succeeds for one of two concurrent requests with the right code, because only one can delete the
	// row. It has no condition on attempts, because the fifth attempt may be the right one.
	takeChallenge    = `DELETE FROM challenges WHERE id = $1 AND purpose = $2 AND expires_at > $3`
	deleteChallenges = `DELETE FROM challenges WHERE user_id = $1`
	// deleteOldChallenges keeps the newest $4 challenges. Without it, one session could fill the table, because
	// enrolments and step-ups have no other limit.
	deleteOldChallenges = `DELETE FROM challenges WHERE user_id = $1 AND session_id = $2 AND purpose = $3 AND id NOT IN
		(SELECT id FROM challenges WHERE user_id = $1 AND session_id = $2 AND purpose = $3
			ORDER BY created_at DESC, id DESC LIMIT $4)`

	// claimStep accepts each code once, even across challenges and processes. The counter can only increase, so a
	// second request with the same code changes no row.
	claimStep    = `UPDATE factors SET counter = $1, last_used_at = $2 WHERE id = $3 AND user_id = $4 AND counter < $1`
	renameFactor = `UPDATE factors SET name = $1 WHERE id = $2 AND user_id = $3`

	// deleteFactor does not delete a passkey that is the last way to sign in. It always deletes an authenticator app,
	// because users can't sign in with the app alone.
	deleteFactor  = `DELETE FROM factors WHERE id = $1 AND user_id = $2 AND (kind <> 'passkey' OR ` + hasOtherSignIn + `)`
	deleteFactors = `DELETE FROM factors WHERE user_id = $1`

	// deleteFactorsSince, deleteCodesSince and deleteDevicesSince delete only rows created at or after $2.
	// DeleteFactors runs them. DeleteUser runs similar statements without this condition.
	deleteFactorsSince = `DELETE FROM factors WHERE user_id = $1 AND created_at >= $2`
	deleteCodesSince   = `DELETE FROM recovery_codes WHERE user_id = $1 AND created_at >= $2`
	deleteDevicesSince = `DELETE FROM devices WHERE user_id = $1 AND created_at >= $2`

	// countFactors stores the number of factors and the time of the change. factors_changed_at always increases by at
	// least a millisecond, so that each change has a different time. The caller has locked the user's row, so the
	// sub-select sees all committed factors.
	countFactors = `UPDATE users SET factors = (SELECT COUNT(*) FROM factors WHERE user_id = $1 AND unproven = 0),
			factors_changed_at = CASE WHEN factors_changed_at < $2 THEN $2 ELSE factors_changed_at + 1 END WHERE id = $1`
	// lockFactors locks the user's row. It updates the row to its current values, because SQLite has no SELECT FOR
	// UPDATE.
	lockFactors = `UPDATE users SET factors = factors WHERE id = $1`

	selectSealedFactors = `SELECT id, sealed FROM factors WHERE id > $1 AND kind = 'totp' ORDER BY id LIMIT $2`
	sealFactor          = `UPDATE factors SET sealed = $1 WHERE id = $2`

	insertRecoveryCode  = `INSERT INTO recovery_codes (user_id, hash, created_at) VALUES ($1, $2, $3)`
	selectRecoveryCodes = `SELECT COUNT(*), COALESCE(MAX(created_at), 0) FROM recovery_codes WHERE user_id = $1`
	// takeRecoveryCode accepts a recovery code once: of two concurrent requests, only one deletes the row.
	takeRecoveryCode    = `DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2`
	deleteRecoveryCodes = `DELETE FROM recovery_codes WHERE user_id = $1`
)

// InsertChallenge can't conflict, because the id is random.
func (t Tx) InsertChallenge(ctx context.Context, c watchword.Challenge) error {
	_, err := t.exec(ctx, insertChallenge, insertArgs(challengeRow(&c))...)
	return err
}

// InsertSessionChallenge deletes the session's oldest challenges, and then inserts the new one. If it inserted first,
// it could delete the new challenge: after the clock was set back, the new challenge can have the oldest time.
func (t Tx) InsertSessionChallenge(ctx context.Context, c watchword.Challenge, keep int) error {
	if _, err := t.exec(ctx, deleteOldChallenges, c.UserID, c.SessionID, string(c.Purpose), keep-1); err != nil {
		return err
	}
	return t.InsertChallenge(ctx, c)
}

func (t Tx) InsertLoginChallenge(ctx context.Context, c watchword.Challenge) ([]watchword.OfferedFactor, error) {
	lines, err := queryRow(ctx, t, func(s rowScanner) (lines string, err error) { return lines, s.Scan(&lines) },
		insertLoginChallenge, insertArgs(challengeRow(&c))...)
	all := []watchword.OfferedFactor{}
	for line := range strings.Lines(lines) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		credential, record, _ := strings.Cut(rest, " ")
		all = append(all, watchword.OfferedFactor{Kind: kind, CredentialID: credential, Record: record})
	}
	return all, err
}

// Challenge compares the purpose in the query, so that no caller can forget the comparison.
func (t Tx) Challenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	return queryRow(ctx, t, func(s rowScanner) (c watchword.Challenge, err error) {
		return c, s.Scan(scanTargets(challengeRow(&c))...)
	}, selectChallenge, id, string(purpose), toMillis(now))
}

// ClaimChallenge counts an attempt, see claimChallenge. The caller must commit before it checks the code. The
// returned row includes this attempt, because RETURNING shows the new values on both databases.
func (t Tx) ClaimChallenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (watchword.Challenge, error) {
	return queryRow(ctx, t, func(s rowScanner) (c watchword.Challenge, err error) {
		return c, s.Scan(scanTargets(challengeRow(&c))...)
	}, claimChallenge, id, string(purpose), toMillis(now))
}

// UserWithFactors reads a user and the user's factors in one round trip, because each sign-in with a factor needs
// both. It returns ErrNotFound for an account without factors. This is correct, because removing the last factor
// makes all challenges of the account invalid.
func (t Tx) UserWithFactors(
	ctx context.Context, id watchword.UserID,
) (u watchword.User, all []factors.Factor, err error) {
	all, err = queryRows(ctx, t, func(s rowScanner) (f factors.Factor, err error) {
		return f, s.Scan(append(scanTargets(userRow(&u)), scanTargets(factorRow(&f))...)...)
	}, selectUserWithFactors, id)
	if err == nil && len(all) == 0 {
		err = watchword.ErrNotFound
	}
	return u, all, err
}

// TakeChallenge reports true to only one of several concurrent callers, see takeChallenge.
func (t Tx) TakeChallenge(
	ctx context.Context, id string, purpose watchword.ChallengePurpose, now time.Time,
) (bool, error) {
	return t.tryChange(ctx, takeChallenge, id, string(purpose), toMillis(now))
}

// InsertFactor reports false for a credential that another account has registered. A partial unique index ensures
// that only one of two concurrent registrations of a passkey succeeds. An authenticator app has no credential id and
// never conflicts.
func (t Tx) InsertFactor(ctx context.Context, f factors.Factor) (bool, error) {
	return t.tryChange(ctx, insertFactor, insertArgs(factorRow(&f))...)
}

// Factors also returns the encrypted secrets, because a sign-in compares a code with each of them.
func (t Tx) Factors(ctx context.Context, id watchword.UserID) ([]factors.Factor, error) {
	return queryRows(ctx, t, func(s rowScanner) (f factors.Factor, err error) {
		return f, s.Scan(scanTargets(factorRow(&f))...)
	}, selectFactors, id)
}

// ClaimStep requires the id of the owner, so the id of another account's factor has no effect.
func (t Tx) ClaimStep(ctx context.Context, f factors.Factor, step int64, at time.Time) (bool, error) {
	return t.tryChange(ctx, claimStep, step, toMillis(at), f.ID, f.UserID)
}

// RenameFactor requires the id of the owner, so a guessed factor id renames no factor of another account.
func (t Tx) RenameFactor(ctx context.Context, id watchword.UserID, factor, name string) (bool, error) {
	return t.tryChange(ctx, renameFactor, name, factor, id)
}

// DeleteFactor requires the id of the owner, so a guessed factor id deletes no factor of another account.
func (t Tx) DeleteFactor(
	ctx context.Context, id watchword.UserID, factor, spare string, offered []string,
) (bool, error) {
	return t.tryChange(ctx, deleteFactor, factor, id, spare, delimitedIDs(offered))
}

// CountFactors updates the number of factors of a user. The caller has locked the user's row in an earlier statement.
// The sub-select therefore also sees factors that a previous holder of the lock committed.
func (t Tx) CountFactors(ctx context.Context, id watchword.UserID, changed time.Time) error {
	return t.changeExisting(ctx, countFactors, id, toMillis(changed))
}

// DeleteFactors locks the user's row first. It thereby waits for a concurrent enrolment, and then also deletes the
// new factor.
func (t Tx) DeleteFactors(ctx context.Context, id watchword.UserID, since, changed time.Time) error {
	if err := t.changeExisting(ctx, lockFactors, id); err != nil {
		return err
	}
	for _, text := range []string{deleteFactorsSince, deleteCodesSince, deleteDevicesSince} {
		if _, err := t.exec(ctx, text, id, toMillis(since)); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, deleteChallenges, id); err != nil {
		return err
	}
	return t.CountFactors(ctx, id, changed)
}

// SealedFactors starts each page of the list after the cursor (a factor id), so a deep page costs the same as the
// first.
func (t Tx) SealedFactors(ctx context.Context, cursor string, limit int) ([]watchword.SealedFactor, error) {
	return queryRows(ctx, t, func(s rowScanner) (f watchword.SealedFactor, err error) {
		return f, s.Scan(&f.ID, &f.Sealed)
	}, selectSealedFactors, cursor, limit)
}

// SetSealedFactor replaces the encrypted form of a secret, not the secret itself. It has no effect if the factor was
// deleted.
func (t Tx) SetSealedFactor(ctx context.Context, f watchword.SealedFactor) error {
	_, err := t.exec(ctx, sealFactor, f.Sealed, f.ID)
	return err
}

// ProveSession stores the methods and the time of a new authentication. It does not change the generation, so the
// refresh token of the session stays valid.
func (t Tx) ProveSession(
	ctx context.Context, id watchword.SessionID, methods []string, at time.Time, c watchword.Cutoffs,
) (bool, error) {
	return t.tryChange(ctx, proveSession, append([]any{encodeList(methods), toMillis(at), id}, isActiveArgs(c)...)...)
}

// InsertRecoveryCode stores the hash of a code. Codes are random, so a duplicate is an internal error.
func (t Tx) InsertRecoveryCode(ctx context.Context, id watchword.UserID, hash string, created time.Time) error {
	_, err := t.exec(ctx, insertRecoveryCode, id, hash, toMillis(created))
	return err
}

// RecoveryCodes counts at most ten rows of the primary key.
func (t Tx) RecoveryCodes(ctx context.Context, id watchword.UserID) (factors.RecoveryCodes, error) {
	return queryRow(ctx, t, func(s rowScanner) (c factors.RecoveryCodes, err error) {
		return c, s.Scan(&c.Left, timeColumn{&c.CreatedAt})
	}, selectRecoveryCodes, id)
}

// TakeRecoveryCode reports true to only one of several concurrent callers, see takeRecoveryCode.
func (t Tx) TakeRecoveryCode(ctx context.Context, id watchword.UserID, hash string) (bool, error) {
	return t.tryChange(ctx, takeRecoveryCode, id, hash)
}

func (t Tx) DeleteRecoveryCodes(ctx context.Context, id watchword.UserID) error {
	_, err := t.exec(ctx, deleteRecoveryCodes, id)
	return err
}
