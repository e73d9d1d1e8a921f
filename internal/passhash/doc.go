// Package passhash makes and checks password hashes, and runs that slow work in
// a bounded pool.
//
// It knows Argon2id (RFC 9106) in PHC strings and bcrypt in crypt(3) strings. It
// does not know whose password it is, whether it is a good one, or how it was
// normalised (internal/password): a password comes in as the bytes to hash.
package passhash
