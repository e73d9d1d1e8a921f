package sqlstore

import "strings"

// hasOtherSignIn is the condition that the user $2 can still sign in after the row $1 is deleted. Each statement that
// deletes a way to sign in has this condition, so users can't delete their last one. $3 is the id of another passkey
// with which the user can sign in without another proof (factors.Manager.Spare), or empty. $4 lists the enabled
// providers (delimitedIDs), because an identity of any other provider can't sign in.
//
// The caller holds the lock of the user's row. Otherwise, two transactions on PostgreSQL could each delete one row
// while they still see the other row.
//
// If a new kind of sign-in is added, this constant must include it, and the statement that deletes it must use this
// constant.
const hasOtherSignIn = `(
	EXISTS (SELECT 1 FROM users AS owner WHERE owner.id = $2 AND owner.password_hash <> '')
	OR EXISTS (SELECT 1 FROM factors AS spare WHERE spare.id = $3 AND spare.user_id = $2 AND spare.id <> $1)
	OR EXISTS (SELECT 1 FROM identities AS other WHERE other.user_id = $2 AND other.id <> $1
		AND $4 LIKE '%,' || other.provider || ',%'))`

// delimitedIDs returns ",a,b,", so that LIKE finds one of the ids. Ids have no comma and no wildcard.
func delimitedIDs(ids []string) string { return "," + strings.Join(ids, ",") + "," }
