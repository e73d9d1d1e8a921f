// Package factors manages the second factors of accounts: TOTP, passkeys and recovery codes. It completes sign-ins
// that the engine has challenged, and changes the factors of an account.
//
// The engine decides whether a sign-in needs a second factor. Only the engine opens sessions (Engine.Inside). Before
// a session is opened, this package verifies the factor.
package factors
