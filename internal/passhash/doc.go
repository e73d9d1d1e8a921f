// Package passhash creates and verifies password hashes, and runs this slow work in a bounded pool.
//
// It creates Argon2id hashes (RFC 9106) as PHC strings and bcrypt hashes as crypt(3) strings. It verifies these, and
// hashes of other systems: Argon2i, scrypt, PBKDF2, crypt(3) with SHA-2, Django's bcrypt of a SHA-256, and Firebase's
// scrypt. For each kind of hash, Verify reads only one form. Adopt, AdoptKeycloak, Firebase and Source convert the
// texts of other systems into this form.
//
// The package does not know accounts and does not check the strength of passwords. It hashes the bytes that it
// receives; internal/password normalizes passwords.
package passhash
