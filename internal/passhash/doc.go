// Package passhash makes and checks password hashes, and runs that slow work in
// a bounded pool.
//
// It makes Argon2id (RFC 9106) in PHC strings and bcrypt in crypt(3) strings. It
// checks these, and what accounts bring along from other systems: Argon2i,
// scrypt, PBKDF2, Django's bcrypt of a SHA-256, and Firebase's scrypt. Adopt,
// AdoptKeycloak and Firebase turn the text of those systems into the one form of
// each kind that Verify reads. It does not know whose password it is, whether it
// is a good one, or how it was normalised (internal/password): a password comes
// in as the bytes to hash.
package passhash
