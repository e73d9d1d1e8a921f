package watchword

import (
	"context"
	"time"
)

// A Store keeps everything. It knows no rules: a Tx answers questions and
// carries out commands, and the engine decides.
//
// An operation that fails because the store is away, full, read-only or too
// busy returns an error that wraps ErrUnavailable. All times are UTC with
// millisecond precision.
type Store interface {
	// View runs fn on one consistent state.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn in one transaction and commits unless fn returns an error.
	// fn may run more than once and so must not act on anything but the Tx.
	Update(ctx context.Context, fn func(Tx) error) error

	// Rotate charges r.Charges and then, in the same transaction, rotates the
	// session if its newest token is presented and it is alive: rules 1 and 2
	// of rotation.md in one conditional statement. Anything else changes
	// nothing but the charges. It gives the verdict of Judge for every input.
	Rotate(ctx context.Context, r RotateRequest) (RotateResult, error)

	// Close waits for running operations.
	Close() error
}

// A Clocked store has a clock that all processes on it share. It rules: servers
// whose own clocks differ agree on how old a token is, and none refuses what
// another has just signed.
type Clocked interface {
	Clock(context.Context) (time.Time, error)
}

// A RotateRequest is the common case of a refresh.
type RotateRequest struct {
	Session SessionID
	Presentation
	Cutoffs    Cutoffs
	RefreshKey uint8  // the key that signs the successor
	Address    string // the client's network address
	Charges    []Charge
}

// A RotateResult says what Rotate did. The zero value: nothing, read the
// session and Judge.
type RotateResult struct {
	Wait    time.Duration // above 0: a charge was refused, come back after
	Rotated bool
	Session Session // if Rotated, as it is now
	User    User    // if Rotated
}

// A Charge is one use of a limit (GCRA, see internal/ratelimit).
type Charge struct {
	Key  string
	Cost time.Duration // what one use takes of the span
	Span time.Duration
	At   time.Time
}

// A Tx is one transaction. Each method is one statement and a scan; those that
// return a bool are conditional statements that settle a race: false means that
// the condition did not hold and nothing was changed. A question about a row
// that is not there returns ErrNotFound.
type Tx interface {
	SignupTx

	// Users.

	// InsertUser reports false if the address belongs to somebody, or can still
	// be taken back by its last owner (an unexpired MailAddressChanged token).
	InsertUser(context.Context, User, time.Time) (bool, error)
	// Reserved reports whether the last owner of an address can still take it back.
	Reserved(context.Context, Address, time.Time) (bool, error)
	User(context.Context, UserID) (User, error)
	UserByEmail(context.Context, Address) (User, error)
	// Users lists up to limit users with an address after the given one, in
	// order of their addresses.
	Users(ctx context.Context, after Address, limit int) ([]User, error)
	// LockUser keeps the user's row until the transaction ends, if its address is
	// still email. Whatever changes the account waits meanwhile, and a question that
	// follows sees the account as it is.
	LockUser(ctx context.Context, id UserID, email Address) (bool, error)
	SetName(context.Context, UserID, string) error
	// SetRoles also takes the user back into what NumberFeed has to number. If the
	// roles changed at or after changed already, they change a second after that:
	// what was made between two changes is out of date with the second one.
	SetRoles(ctx context.Context, id UserID, roles []string, changed time.Time) error
	// SetDisabled shuts the account at the given time; the zero time opens it.
	SetDisabled(context.Context, UserID, time.Time) error
	SetPassword(context.Context, UserID, Secret) error
	// ReplacePassword sets the hash if it is still from and the account is
	// enabled. It is also the lock that a sign-in takes (to equal to from), so
	// that a sign-in and a change of password or a disabling exclude each other.
	ReplacePassword(ctx context.Context, id UserID, from, to Secret) (bool, error)
	// SetEmail changes the address if it is still from and to is free, and
	// counts to as verified at the given time. Free is as for InsertUser, but
	// the user's own tokens do not stand in the way.
	SetEmail(ctx context.Context, id UserID, from, to Address, verified time.Time) (bool, error)
	// SetVerified marks the address as verified if it is still that one.
	SetVerified(ctx context.Context, id UserID, email Address, at time.Time) (bool, error)
	// ProveFirst sets VerifiedAt, PasswordHash and Name if the address is still
	// Email and not proven, and the account is enabled.
	ProveFirst(context.Context, User) (bool, error)
	// DeleteUser removes the user with the events and mails that belong to it, and
	// the sign-ups that wait for its address.
	// Its sessions stay until they are swept: end them first.
	DeleteUser(context.Context, UserID) (bool, error)

	// Sessions.

	InsertSession(context.Context, Session) error
	// Session returns a session, alive or not, with its user. A session whose
	// user is deleted is not found.
	Session(context.Context, SessionID) (Session, User, error)
	// Sessions lists the user's live sessions, the last used first.
	Sessions(context.Context, UserID, Cutoffs) ([]Session, error)
	// Forgive sets Forgiven to generation if the session has not ended and
	// generation is still its newest.
	Forgive(ctx context.Context, id SessionID, generation int64) (bool, error)
	EndSession(context.Context, SessionID, EndReason, time.Time) (bool, error)
	// EndSessions ends the user's sessions except one ("": none), and says how many.
	EndSessions(ctx context.Context, id UserID, except SessionID, why EndReason, at time.Time) (int, error)
	// EndOldestSessions leaves the keep newest (by sign-in) of the user's sessions.
	EndOldestSessions(ctx context.Context, id UserID, keep int, why EndReason, at time.Time) (int, error)
	// EndNextSessions ends up to limit sessions of all users with an id after the
	// given one, in the order of ids, and returns the last id and their number.
	EndNextSessions(ctx context.Context, after SessionID, limit int, why EndReason, at time.Time) (SessionID, int, error)

	// Feed.

	// NumberFeed gives the next numbers above one to up to limit ended sessions, and
	// to as many users whose roles changed, and says to how many. Whoever sees a
	// number sees, or has seen, every smaller one.
	NumberFeed(ctx context.Context, above int64, limit int) (int, error)
	FeedState(context.Context) (FeedState, error)
	// Feed lists up to limit items in the order of their numbers: those with a
	// number after the given one, of what happened after a moment.
	Feed(ctx context.Context, after int64, since time.Time, limit int) ([]FeedItem, error)

	// Mailed tokens.

	InsertMailToken(context.Context, MailToken) error // replaces one of the same hash
	MailToken(ctx context.Context, hash string, kind MailKind, now time.Time) (MailToken, error)
	// TakeMailToken removes the token if it is there, of that kind and not expired.
	TakeMailToken(ctx context.Context, hash string, kind MailKind, now time.Time) (bool, error)
	// MailTokens lists the user's tokens of a kind that have not expired.
	MailTokens(ctx context.Context, id UserID, kind MailKind, now time.Time) ([]MailToken, error)
	// ExtendMailToken changes when a token expires, unless it was taken or deleted.
	ExtendMailToken(ctx context.Context, hash string, expires time.Time) (bool, error)
	DeleteMailTokens(context.Context, UserID, ...MailKind) error
	// DeleteMailTokensAfter removes those of one kind that expire after a moment.
	DeleteMailTokensAfter(ctx context.Context, id UserID, kind MailKind, expires time.Time) error

	// Events.

	// InsertEvent counts the event to the one of the same id, if there is one, and
	// keeps time, address, device and request of the later.
	InsertEvent(context.Context, Event) error
	Events(ctx context.Context, id UserID, limit int) ([]Event, error) // newest first

	// Outbox.

	InsertMail(context.Context, Mail) error
	// ClaimMail takes the mail that has been due longest at now, for the caller
	// alone until the given time, and counts an attempt.
	ClaimMail(ctx context.Context, now, until time.Time) (Mail, error)
	// PostponeMail records a failed attempt; givenUp, unless zero, ends the tries.
	PostponeMail(ctx context.Context, id string, next time.Time, why string, givenUp time.Time) error
	DeleteMail(context.Context, string) error
	Mails(ctx context.Context, limit int) ([]Mail, error) // oldest first
	// RetryMail makes mail due at now: one that waits or was given up, or all ("").
	RetryMail(ctx context.Context, id string, now time.Time) (int, error)
	// Outbox counts the mails that wait and those given up, each up to
	// OutboxCounted, and tells since when the oldest that waits has (zero: none
	// waits).
	Outbox(context.Context) (waiting, givenUp int, oldest time.Time, err error)

	// Keys.

	// InsertKey reports false if a key of that use and number exists.
	InsertKey(context.Context, Key) (bool, error)
	Keys(context.Context) ([]Key, error) // by use and ActiveFrom
	SetKeyTimes(ctx context.Context, id string, activeFrom, dropAt time.Time) error
	DeleteKey(context.Context, string) error
	// HoldKey returns the key with number 1 of a use and locks it until the
	// transaction ends. What was committed before is seen by later statements.
	HoldKey(context.Context, KeyUse) (Key, error)
	SetSealedKey(ctx context.Context, id string, sealed []byte) error

	// Limits.

	// Charge takes one use, and returns 0, or how long to wait if the limit is
	// used up, in which case nothing changed.
	Charge(context.Context, Charge) (time.Duration, error)
	Refund(context.Context, Charge) error

	// SweepLimits looks at up to limit counters that may have run out before a
	// moment, in a fixed order after a mark, and deletes those that have. It returns
	// the mark to go on from, the zero mark at the end, and how many it deleted.
	SweepLimits(ctx context.Context, after LimitMark, before time.Time, limit int) (LimitMark, int, error)
	// Sweep deletes up to limit rows that nobody needs any more, and says how many.
	Sweep(ctx context.Context, what Sweep, before time.Time, limit int) (int, error)
}

// A SignupTx keeps the sign-ups that wait for their address (SignupVerified), and
// the tokens that were mailed to an address, whether or not it has an account.
type SignupTx interface {
	// InsertSignup replaces the oldest of the address if it has five already. Of
	// two at once, the later one may replace the other instead.
	InsertSignup(context.Context, Signup) error
	// Signups lists those of an address that were created after a moment, the
	// newest first.
	Signups(ctx context.Context, email Address, after time.Time) ([]Signup, error)
	TakeSignup(ctx context.Context, email Address, id string) (bool, error)
	// NextSignups lists up to limit of all, after one of them (the zero Signup: from
	// the first), in the order of address and id.
	NextSignups(ctx context.Context, after Signup, limit int) ([]Signup, error)
	// SetSealedSignup changes nothing if the sign-up has been taken.
	SetSealedSignup(ctx context.Context, email Address, id string, sealed []byte) error
	DeleteSignups(context.Context, Address) error

	// DeleteSentTokens deletes the tokens of a kind that were mailed to an address.
	DeleteSentTokens(context.Context, Address, MailKind) error
	// SentTokenWorks reports whether one of them has not expired.
	SentTokenWorks(ctx context.Context, email Address, kind MailKind, now time.Time) (bool, error)
	// LastMailToken returns when the last of the user's tokens of a kind expires:
	// the zero time if there is none.
	LastMailToken(ctx context.Context, id UserID, kind MailKind, now time.Time) (time.Time, error)
}

// OutboxCounted is where Tx.Outbox stops counting.
const OutboxCounted = 10_000

// A LimitMark is a place in the order in which Tx.SweepLimits goes through counters.
type LimitMark struct {
	SweepFrom int64 // nanoseconds since 1970
	Key       string
}

// A Sweep names rows that die of age.
type Sweep string

const (
	SweepSessions   Sweep = "sessions"    // ended or expired before
	SweepMailTokens Sweep = "mail_tokens" // expired before
	SweepEvents     Sweep = "events"      // happened before
	SweepMails      Sweep = "mails"       // given up before
	SweepSignups    Sweep = "signups"     // created before
)
