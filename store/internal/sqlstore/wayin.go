package sqlstore

import "strings"

// anotherWayIn is the condition under which a user, $2, can sign in without the row $1. $3 is the id of another
// passkey of the user that signs in alone, as factors.Manager.Spare returns it, or empty. $4 lists the providers
// that are offered, as idList returns them: an identity of any other provider can't sign in. Each statement that
// removes a way to sign in has this condition, so a user can't remove the last way to sign in.
//
// The caller holds the lock of the user's row. Otherwise, two transactions on PostgreSQL could each remove one row
// and still see the row that the other one removes.
//
// A new kind of sign-in must extend this constant, and the statement that deletes it must use
// the constant.
const anotherWayIn = `(
	EXISTS (SELECT 1 FROM users AS owner WHERE owner.id = $2 AND owner.password_hash <> '')
	OR EXISTS (SELECT 1 FROM factors AS spare WHERE spare.id = $3 AND spare.user_id = $2 AND spare.id <> $1)
	OR EXISTS (SELECT 1 FROM identities AS other WHERE other.user_id = $2 AND other.id <> $1
		AND $4 LIKE '%,' || other.provider || ',%'))`

// idList returns the ids of providers as ",a,b,", so that LIKE finds one of them. Ids have no comma and no wildcard.
func idList(ids []string) string { return "," + strings.Join(ids, ",") + "," }
