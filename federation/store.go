package federation

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
	IdentityTx

	// Challenge, ClaimChallenge and TakeChallenge are the same as in factors.ChallengeTx.
	Challenge(ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time) (watchword.Challenge, error)
	ClaimChallenge(
		ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time) (watchword.Challenge, error)
	TakeChallenge(ctx context.Context, id string, p watchword.ChallengePurpose, now time.Time) (bool, error)
}

// IdentityTx stores identities.
//
// Unstable: stores implement it.
type IdentityTx interface {
	// InsertIdentity reports false if the identity is already connected, to any account.
	InsertIdentity(context.Context, Identity) (bool, error)
	// Identity returns an identity by issuer and subject. Both are compared exactly.
	Identity(ctx context.Context, issuer, subject string) (Identity, error)
	Identities(context.Context, watchword.UserID) ([]Identity, error) // oldest first
	// Stranded lists users who have no password and whose identities all belong to providers that are not in offered.
	// It lists users after the given id, in the order of ids. Only ID, VerifiedAt and Factors are set. Factors counts
	// all passkeys, including those that are only second factors.
	Stranded(ctx context.Context, after watchword.UserID, offered []string, limit int) ([]watchword.User, error)
	// UseIdentity stores Provider, Email and LastUsedAt. It reports false if the account no longer has the identity.
	UseIdentity(context.Context, Identity) (bool, error)
	// DeleteIdentity reports false if the account does not have the identity, or could not sign in without it. The
	// argument spare is the id of a passkey that can sign the user in without another proof, or "". Another identity
	// counts as a way to sign in only if its provider is in the list offered. The caller has locked the user's row.
	DeleteIdentity(ctx context.Context, id watchword.UserID, identity, spare string, offered []string) (bool, error)
}

// An Identity is an account at a provider that is connected to a user. No token of the provider is stored.
type Identity struct {
	ID       string
	UserID   watchword.UserID
	Provider string // Info.ID at the last use
	Issuer   string
	Subject  string
	Email    string // address at the last use, for display; never for a lookup

	LinkedAt   time.Time
	LastUsedAt time.Time // zero: not used since it was connected
}
