package admin

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
	AccountTx
	EndedTx
	ServiceKeyTx
	ListTx
	RecordTx
}

// AccountTx finds accounts.
//
// Unstable: stores implement it.
type AccountTx interface {
	// Accounts lists the accounts with addresses in the range [from, below), in byte order, at most limit. It
	// applies only Role, State and Factor of the filter.
	Accounts(ctx context.Context, from, below watchword.Address, f Filter, limit int) ([]Account, error)
	// LastAccount finds the first n accounts in the range [from, below). It returns the address of the last of them,
	// and how many it found.
	LastAccount(ctx context.Context, from, below watchword.Address, n int) (last watchword.Address, found int, err error)
	// AccountsWithRole lists the accounts with the role of the filter and ids in the range (after, upTo], in the
	// order of ids, at most limit. It applies only Role, State and Factor of the filter.
	AccountsWithRole(ctx context.Context, after, upTo watchword.UserID, f Filter, limit int) ([]Account, error)
	// LastWithRole finds the first n accounts that have the role and an id greater than after. It returns the id of
	// the last of them, and how many it found.
	LastWithRole(ctx context.Context, role string, after watchword.UserID, n int) (
		last watchword.UserID, found int, err error)
	// Account returns the account of an id, or watchword.ErrNotFound.
	Account(ctx context.Context, id watchword.UserID) (Account, error)
}

// An Account is a user with the kinds of second factors.
type Account struct {
	watchword.User
	TOTP    bool
	Passkey bool
}

// EndedTx reads sessions, including ended sessions.
//
// Unstable: stores implement it.
type EndedTx interface {
	// SessionsOf lists up to limit sessions of a user, including ended sessions, sorted by last use, newest first.
	// Sessions of a deleted user are listed until the sweep deletes them.
	SessionsOf(ctx context.Context, id watchword.UserID, limit int) ([]watchword.Session, error)
}

// ServiceKeyTx stores service keys.
//
// Unstable: stores implement it.
type ServiceKeyTx interface {
	InsertServiceKey(context.Context, ServiceKey) error
	// ServiceKey returns the key of an id, or watchword.ErrNotFound.
	ServiceKey(ctx context.Context, id string) (ServiceKey, error)
	// ServiceKeys lists at most limit keys, newest first. The list has only keys whose ids are lower than the given id.
	ServiceKeys(ctx context.Context, before string, limit int) ([]ServiceKey, error)
	// RevokeServiceKey reports false if there is no such key, or if it was revoked before.
	RevokeServiceKey(ctx context.Context, id string, now time.Time) (bool, error)
	// TouchServiceKey sets the last use of a key to now. If the key was already used after the time since,
	// TouchServiceKey changes nothing.
	TouchServiceKey(ctx context.Context, id string, now, since time.Time) error
}

// ListTx lists events and mails of all accounts, and counts rows.
//
// Unstable: stores implement it.
type ListTx interface {
	// EventsBefore lists at most limit events of a user, or of all users (""), newest first. The list begins after the
	// given position, and skips events that happened before the time from.
	EventsBefore(
		ctx context.Context, user watchword.UserID, from time.Time, before EventPosition, limit int,
	) ([]watchword.Event, error)
	// SystemEvents lists at most limit events of a kind that belong to no account, newest first. The events happened
	// between the times from and upTo.
	SystemEvents(
		ctx context.Context, kind watchword.EventKind, from, upTo time.Time, limit int,
	) ([]watchword.Event, error)
	// MailsAfter lists at most limit mails of the outbox, oldest first. The mails go to one user, or to any user if the
	// id is empty. The list begins after the given position.
	MailsAfter(ctx context.Context, user watchword.UserID, after EventPosition, limit int) ([]watchword.Mail, error)
	// CountAccounts counts accounts and live sessions, each up to limit.
	CountAccounts(ctx context.Context, alive watchword.Cutoffs, limit int) (accounts, sessions int, err error)
	// CountEvents counts events since a moment, by kind and hour. It counts at most the newest
	// limit events.
	CountEvents(ctx context.Context, since time.Time, limit int) ([]KindCount, error)
}

// RecordTx stores the results of requests with an idempotency key.
//
// Unstable: stores implement it.
type RecordTx interface {
	// ClaimRecord inserts a record without a result, or takes over a record that expired before now. It reports
	// false if another request has the key.
	ClaimRecord(ctx context.Context, r Record, now time.Time) (bool, error)
	// Record returns the record of a key, or watchword.ErrNotFound.
	Record(ctx context.Context, owner, key string) (Record, error)
	// FinishRecord stores the result of a request and the time when its record expires. The caller passes the time when
	// the claim of the request expires (claimed). FinishRecord reports false if another request has taken over the
	// claim.
	FinishRecord(ctx context.Context, r Record, claimed time.Time) (bool, error)
	// DropRecord deletes the record of a request without a result, if its claim still ends at ExpiresAt.
	DropRecord(context.Context, Record) error
}
