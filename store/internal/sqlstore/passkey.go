package sqlstore

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// Passkeys are rows of the table factors. The statements in this file find them by credential id.

var (
	// selectByCredential repeats the condition of the partial index on credential ids, so that
	// databases use this index.
	selectByCredential = `SELECT ` + selectList("factors", factorRow(new(factors.Factor))) + ` FROM factors
		WHERE credential_id = $1 AND credential_id <> ''`

	// consumeChallenge marks a passwordless challenge as used, by inserting its id. Ids are unique, so of two
	// concurrent requests only one inserts the row and succeeds.
	consumeChallenge = insertInto("challenges", challengeRow(new(watchword.Challenge)),
		"VALUES (%s) ON CONFLICT DO NOTHING")
)

// claimCount stores the signature counter of a passkey, if it is higher than the stored one. A counter that is not
// higher can mean that the passkey was copied. claimCount also accepts a zero after a zero, because many
// authenticators always send zero. For such authenticators, only the challenge prevents a response from being used
// twice.
const claimCount = `UPDATE factors SET counter = $1, record = $2, unproven = $3, last_used_at = $4
	WHERE id = $5 AND user_id = $6 AND (counter < $1 OR (counter = 0 AND $1 = 0))`

// FactorByCredential finds at most one row, because credential ids are unique over all accounts.
func (t Tx) FactorByCredential(ctx context.Context, credential string) (factors.Factor, error) {
	return queryRow(ctx, t, func(s rowScanner) (f factors.Factor, err error) {
		return f, s.Scan(scanTargets(factorRow(&f))...)
	}, selectByCredential, credential)
}

// ClaimCount also stores the record of the passkey, because a sign-in may change its flags.
func (t Tx) ClaimCount(ctx context.Context, f factors.Factor, at time.Time) (bool, error) {
	return t.tryChange(ctx, claimCount, f.Counter, f.Record, columnValue(boolColumn{&f.Unproven}), toMillis(at),
		f.ID, f.UserID)
}

// ConsumeChallenge inserts a row that marks the challenge as used. The sweep deletes the row after the challenge has
// expired.
func (t Tx) ConsumeChallenge(ctx context.Context, c watchword.Challenge) (bool, error) {
	return t.tryChange(ctx, consumeChallenge, insertArgs(challengeRow(&c))...)
}
