package factors

import (
	"context"
	"time"

	"github.com/watchword-auth/watchword"
)

// A Store runs transactions on the tables of the engine and of this package.
//
// Unstable: stores implement it.
type Store interface {
	View(ctx context.Context, fn func(Tx) error) error
	Update(ctx context.Context, fn func(Tx) error) error
}

// A Tx is one transaction. Its methods follow the rules of watchword.Tx.
//
// Unstable: stores implement it.
type Tx interface {
	watchword.Tx
	ChallengeTx
	FactorTx
	RecoveryTx
	PasskeyTx
	DeviceTx
}

// ChallengeTx creates, reads and consumes challenges.
//
// Unstable: stores implement it.
type ChallengeTx interface {
	// InsertSessionChallenge first deletes the oldest challenges of the same user, session and purpose, and then
	// inserts c. At most keep challenges remain, including c.
	InsertSessionChallenge(ctx context.Context, c watchword.Challenge, keep int) error
	// Challenge returns a challenge that has the purpose p and has not expired.
	Challenge(ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time) (watchword.Challenge, error)
	// ClaimChallenge counts an attempt and returns the challenge. It returns watchword.ErrNotFound if
	// the challenge does not exist, has another purpose, has expired, or has had
	// watchword.ChallengeAttempts already.
	ClaimChallenge(
		ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time,
	) (watchword.Challenge, error)
	// TakeChallenge deletes the challenge if it exists, has the purpose p and has not expired.
	TakeChallenge(ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time) (bool, error)
}

// FactorTx stores factors.
//
// Unstable: stores implement it.
type FactorTx interface {
	// InsertFactor reports false if the factor or its credential exists already.
	InsertFactor(context.Context, Factor) (bool, error)
	Factors(context.Context, watchword.UserID) ([]Factor, error) // oldest first
	// UserWithFactors returns a user and all factors, oldest first, or watchword.ErrNotFound for a
	// user without a factor.
	UserWithFactors(context.Context, watchword.UserID) (watchword.User, []Factor, error)
	// ClaimStep sets Counter and LastUsedAt of the factor. It reports false if the stored counter is not lower than
	// step.
	ClaimStep(ctx context.Context, f Factor, step int64, at time.Time) (bool, error)
	RenameFactor(ctx context.Context, id watchword.UserID, factor, name string) (bool, error)
	// DeleteFactor reports false if the factor does not exist or is the last way to sign in. The passkey with the id
	// spare counts as another way, unless spare is empty: it can sign the user in without another proof
	// (Manager.Spare). An identity counts only if the argument offered contains its provider. The caller has locked
	// the user's row.
	DeleteFactor(ctx context.Context, id watchword.UserID, factor, spare string, offered []string) (bool, error)
	// CountFactors sets User.Factors to the number of factors that are not Unproven. It sets FactorsChangedAt to the
	// argument changed. If the stored time is not earlier than this argument, it adds a millisecond to the stored
	// time instead. The caller has locked the user's row.
	CountFactors(ctx context.Context, id watchword.UserID, changed time.Time) error
	// ProveSession sets AuthenticatedAt and Methods of a session that is alive.
	ProveSession(
		ctx context.Context, id watchword.SessionID, methods []string, at time.Time, c watchword.Cutoffs,
	) (bool, error)
}

// RecoveryTx stores recovery codes by their hashes.
//
// Unstable: stores implement it.
type RecoveryTx interface {
	InsertRecoveryCode(ctx context.Context, id watchword.UserID, hash string, created time.Time) error
	// RecoveryCodes returns how many codes are left and when they were created.
	RecoveryCodes(context.Context, watchword.UserID) (RecoveryCodes, error)
	TakeRecoveryCode(ctx context.Context, id watchword.UserID, hash string) (bool, error)
	DeleteRecoveryCodes(context.Context, watchword.UserID) error
}

// PasskeyTx finds and uses passkeys.
//
// Unstable: stores implement it.
type PasskeyTx interface {
	// FactorByCredential returns the passkey with a credential id.
	FactorByCredential(ctx context.Context, credential string) (Factor, error)
	// ClaimCount stores Counter, Record and Unproven of f and sets LastUsedAt. It reports false if f.Counter is not
	// higher than the stored counter. Two zeros are allowed, because some authenticators do not count.
	ClaimCount(ctx context.Context, f Factor, at time.Time) (bool, error)
	// ConsumeChallenge inserts a used challenge. It reports false if the challenge was used
	// already.
	ConsumeChallenge(context.Context, watchword.Challenge) (bool, error)
}

// DeviceTx stores remembered devices. watchword.FactorTx has the methods that sign-ins use.
//
// Unstable: stores implement it.
type DeviceTx interface {
	// InsertDevice inserts d, and deletes the user's oldest devices, so that at most maxKept remain.
	InsertDevice(ctx context.Context, d Device, maxKept int) error
	// Devices lists the user's devices that UseDevice accepts, newest first.
	Devices(ctx context.Context, id watchword.UserID, since, now time.Time) ([]Device, error)
	DeleteDevice(ctx context.Context, id watchword.UserID, device string) (bool, error)
}

// A Device is a browser that skips the second factor.
//
// Unstable: stores and package server use it.
type Device struct {
	ID     string
	UserID watchword.UserID
	Name   string // name of the browser and its system

	CreatedAt  time.Time
	LastUsedAt time.Time // zero: not used since CreatedAt
	ExpiresAt  time.Time
}

// A Kind is the kind of a factor.
//
// Unstable: stores and package server use it.
type Kind string

const (
	KindTOTP    Kind = "totp"    // a time-based one-time password (RFC 6238)
	KindPasskey Kind = "passkey" // a WebAuthn credential
)

// KindRecovery means the recovery codes in a call of ResetKind. No Factor has this kind.
//
// Unstable: for the program watchword.
const KindRecovery Kind = "recovery"

// A Factor is a confirmed second factor of an account.
//
// Unstable: stores and package server use it.
type Factor struct {
	ID     string
	UserID watchword.UserID
	Kind   Kind
	Name   string

	Sealed       []byte // the secret of a TOTP, sealed under the master key
	CredentialID string // of a passkey; empty for a TOTP
	Record       string // key and other data of a passkey; empty for a TOTP

	// Counter is the time step of the last accepted code, or the signature counter of a passkey.
	// Lower values are refused.
	Counter int64

	// Unproven marks a passkey from an automatic upgrade, before its first use with verification.
	// Sign-ins do not ask for such a passkey.
	Unproven bool

	CreatedAt  time.Time
	LastUsedAt time.Time // zero: not used since its confirmation
}

// RecoveryCodes describes the recovery codes of an account.
//
// Unstable: package server and the program watchword use it.
type RecoveryCodes struct {
	Left      int
	CreatedAt time.Time // zero if no code is left
}
