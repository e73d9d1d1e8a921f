package watchword

import (
	"context"
	"time"
)

// A Store keeps all data. It has no rules: a Tx answers queries and carries out commands, and the engine decides.
//
// An operation returns an error that wraps ErrUnavailable if the store is unreachable,
// full, read-only or too busy. All times are UTC with millisecond precision.
//
// Unstable: Store, Tx and the interfaces that Tx embeds may grow in a minor version.
// Semantic versioning does not cover programs that implement them. Run store/storetest.
type Store interface {
	// View runs fn on one consistent snapshot.
	View(ctx context.Context, fn func(Tx) error) error

	// Update runs fn in one transaction and commits unless fn returns an error. fn may run more
	// than once, so it must act only on the Tx.
	Update(ctx context.Context, fn func(Tx) error) error

	// Rotate counts r.Charges and rotates the session, in one transaction. If one of the charges is refused, Rotate
	// changes nothing. It rotates an active session if and only if Judge returns VerdictRotate. One conditional
	// UPDATE checks this (rules 1 and 2 of docs/rotation.md). If it does not rotate the session, it changes only the
	// charges.
	Rotate(ctx context.Context, r RotateRequest) (RotateResult, error)

	// Live returns a session, alive or ended, with its user, as SessionTx.Session does. It is one statement without
	// a transaction, because every signed-in request calls it. It returns ErrNotFound if the session or its user
	// does not exist. A call that begins after a change was committed sees the change, even if another process made
	// it. The caller owns the slices of the result.
	Live(ctx context.Context, id SessionID) (Session, User, error)

	// Close waits for running operations.
	Close() error
}

// A Clocked store has a clock that all processes on it share. The engine uses that clock. Servers whose own clocks
// differ therefore agree on the age of a token, and accept tokens that another server has just signed.
//
// Unstable: stores implement it.
type Clocked interface {
	Clock(context.Context) (time.Time, error)
}

// A RotateRequest asks Rotate to rotate a session, the common case of a refresh.
//
// Unstable: stores implement it.
type RotateRequest struct {
	Session SessionID
	Presentation
	Cutoffs    Cutoffs
	RefreshKey uint8  // number of the key that signs the successor
	Address    string // network address of the client
	Charges    []Charge
}

// A RotateResult says what Rotate did. The zero value means that the session must be read and judged.
//
// Unstable: stores implement it.
type RotateResult struct {
	Wait    time.Duration // above 0: a charge was refused; retry after this time
	Rotated bool
	Session Session // the session after the rotation, if Rotated
	User    User    // if Rotated
}

// A Charge is one use of a rate limit, such as a request or a mail (GCRA, see internal/ratelimit).
//
// Unstable: stores implement it.
type Charge struct {
	Key  string
	Cost time.Duration // the part of Span that one use takes
	Span time.Duration
	At   time.Time
}

// A Tx is one transaction. Each method runs one SQL statement and scans its rows. Some methods return a bool: false
// means that the condition of the statement did not hold, and the row is unchanged. A query for a row that does not
// exist returns ErrNotFound.
//
// Unstable: stores implement it.
type Tx interface {
	UserTx
	CredentialTx
	SignupTx
	SessionTx
	FeedTx
	MailTokenTx
	MailTx
	EventTx
	CallbackTx
	KeyTx
	LimitTx
	SweepTx
}

// UserTx stores accounts.
//
// Unstable: stores implement it.
type UserTx interface {
	// InsertUser reports false if an account has the address, or if the previous owner of the address can still take
	// it back (an unexpired MailAddressChanged token). With the account, it adds a callback of the kind
	// CallbackSignup. An account without an id is an error: all such accounts would have the same id.
	InsertUser(context.Context, User, time.Time) (bool, error)
	User(context.Context, UserID) (User, error)
	UserByEmail(context.Context, Address) (User, error)
	// Users lists up to limit users with from <= address < below, in byte order of their addresses.
	Users(ctx context.Context, from, below Address, limit int) ([]User, error)
	// LockUser locks the user's row until the transaction ends. It reports false if the user's address is no longer
	// the given one. Concurrent changes of the account wait, and later queries see the current state of the account.
	LockUser(ctx context.Context, id UserID, email Address) (bool, error)
	SetName(context.Context, UserID, string) error
	SetLocale(context.Context, UserID, string) error
	// SetRoles replaces the user's roles and queues the user for NumberFeed. It stores the given time of the change,
	// or one second after the stored time, if that is later. A token that was issued between two changes is therefore
	// outdated by the later one.
	SetRoles(ctx context.Context, id UserID, roles []string, changed time.Time) error
	// SetDisabled disables the account at the given time; the zero time enables it.
	SetDisabled(context.Context, UserID, time.Time) error
	// DeleteUser deletes the user with its events, its mails, its CallbackSignup and the sign-ups that wait for its
	// address. The caller first ends its sessions, because their rows stay until the sweep deletes them.
	DeleteUser(context.Context, UserID) (bool, error)
	// HasAdmin reports whether an enabled account holds the role admin. It takes a lock until the transaction ends:
	// if two transactions each remove one of two administrators, the second sees the change of the first. The lock
	// is the row of the key KeyService. Without that row, HasAdmin returns an error other than ErrNotFound.
	HasAdmin(context.Context) (bool, error)
}

// CredentialTx changes the password, the address and the factors of an account.
//
// Unstable: stores implement it.
type CredentialTx interface {
	FactorTx
	SetPassword(context.Context, UserID, Secret) error
	// ReplacePassword stores the hash if the account is enabled and still has the PasswordHash and FactorsChangedAt
	// of u. If the hash is the same, it only locks the row, so that concurrent changes of these fields wait.
	ReplacePassword(ctx context.Context, u User, to Secret) (bool, error)
	// Reserved reports whether the previous owner of an address can still take it back.
	Reserved(context.Context, Address, time.Time) (bool, error)
	// SetEmail sets a new address that is verified at the given time. It reports false if the account no longer has
	// the old one, or if InsertUser would refuse the new one. The user's own tokens do not reserve an address.
	SetEmail(ctx context.Context, id UserID, from, to Address, verified time.Time) (bool, error)
	// SetVerified marks the user's address as verified. It reports false if the address is no longer the given one.
	SetVerified(ctx context.Context, id UserID, email Address, at time.Time) (bool, error)
	// ProveFirst sets VerifiedAt, PasswordHash, Name and Locale of an account. It reports false if the account is
	// disabled, is already verified, or no longer has the address Email.
	ProveFirst(context.Context, User) (bool, error)
}

// SignupTx stores the sign-ups that wait for the proof of their address (SignupVerified).
//
// Unstable: stores implement it.
type SignupTx interface {
	// InsertSignup inserts a sign-up. If the address has five sign-ups already, it replaces the oldest one. Of two
	// concurrent calls, one may replace the sign-up of the other instead.
	InsertSignup(context.Context, Signup) error
	// Signups lists the sign-ups of an address that were created after a moment, newest first.
	Signups(ctx context.Context, email Address, after time.Time) ([]Signup, error)
	TakeSignup(ctx context.Context, email Address, id string) (bool, error)
	// NextSignups lists up to limit sign-ups after the given one (zero: from the first), by address and id.
	NextSignups(ctx context.Context, after Signup, limit int) ([]Signup, error)
	// SetSealedSignup replaces the sealed part of a sign-up, if the sign-up still exists.
	SetSealedSignup(ctx context.Context, email Address, id string, sealed []byte) error
	DeleteSignups(context.Context, Address) error
}

// SessionTx stores sessions.
//
// Unstable: stores implement it.
type SessionTx interface {
	InsertSession(context.Context, Session) error
	// Session returns a session, alive or ended, with its user. The session of a deleted user is not found.
	Session(context.Context, SessionID) (Session, User, error)
	// SessionAlone returns a session, even of a deleted user.
	SessionAlone(context.Context, SessionID) (Session, error)
	// Sessions lists the user's live sessions, the most recently used first.
	Sessions(context.Context, UserID, Cutoffs) ([]Session, error)
	// Forgive sets Session.Forgiven to a generation. It reports false if the session has ended or was rotated since.
	Forgive(ctx context.Context, id SessionID, generation int64) (bool, error)
	EndSession(context.Context, SessionID, EndReason, time.Time) (bool, error)
	// EndSessions ends the user's sessions except one ("": none) and returns their number. It also ends expired and
	// idle ones, because they would become active again if an operator set a longer limit.
	EndSessions(ctx context.Context, id UserID, except SessionID, why EndReason, at time.Time) (int, error)
	// EndOldestSessions ends the user's oldest sessions (by sign-in) that are live at Cutoffs.Now, so that only keep
	// remain. It returns the ids of the ended sessions in any order.
	EndOldestSessions(ctx context.Context, id UserID, keep int, why EndReason, c Cutoffs) ([]SessionID, error)
	// EndNextSessions ends up to limit sessions of all users, in the order of their ids, beginning after the given
	// id. It returns the id of the last ended session and the number of ended sessions.
	EndNextSessions(ctx context.Context, after SessionID, limit int, why EndReason, at time.Time) (SessionID, int, error)
}

// FactorTx has the methods on second factors that the engine needs. Package factors has the others.
//
// Unstable: stores implement it.
type FactorTx interface {
	InsertChallenge(context.Context, Challenge) error
	// InsertLoginChallenge also returns all factors of the user, oldest first. Without factors, the list is not nil.
	InsertLoginChallenge(context.Context, Challenge) ([]OfferedFactor, error)
	// DeleteFactors deletes the user's factors, recovery codes and remembered devices that were created at or after
	// since (zero: all), and all challenges. It sets Factors and FactorsChangedAt.
	DeleteFactors(ctx context.Context, id UserID, since, changed time.Time) error
	// DeleteIdentities deletes the user's identities that were connected at or after since (zero: all).
	DeleteIdentities(ctx context.Context, id UserID, since time.Time) error
	// SealedFactors lists up to limit sealed secrets after the given id, in the order of ids.
	SealedFactors(ctx context.Context, after string, limit int) ([]SealedFactor, error)
	SetSealedFactor(context.Context, SealedFactor) error
	// UseDevice records a use of a remembered device. It reports false if the device has expired, if it was created
	// at since or earlier, or if it is older than the last change of the user's factors.
	UseDevice(ctx context.Context, id UserID, device string, since, now time.Time) (bool, error)
	ForgetDevices(context.Context, UserID) error
}

// FeedTx numbers and reads the revocation feed.
//
// Unstable: stores implement it.
type FeedTx interface {
	// NumberFeed numbers up to limit ended sessions, and up to limit users whose roles changed. It uses numbers above
	// the given one and returns how many it used. Numbers become visible in ascending order, so a reader that has
	// seen a number never misses a smaller one.
	NumberFeed(ctx context.Context, above int64, limit int) (int, error)
	FeedState(context.Context) (FeedState, error)
	// Feed lists up to limit items with a number above after, of changes later than since, ordered by number.
	Feed(ctx context.Context, after int64, since time.Time, limit int) ([]FeedItem, error)
}

// MailTokenTx stores mailed tokens by their hashes.
//
// Unstable: stores implement it.
type MailTokenTx interface {
	InsertMailToken(context.Context, MailToken) error // replaces a token with the same hash
	MailToken(ctx context.Context, hash string, kind MailKind, now time.Time) (MailToken, error)
	// TakeMailToken deletes the token if it exists, has that kind and has not expired.
	TakeMailToken(ctx context.Context, hash string, kind MailKind, now time.Time) (bool, error)
	// MailTokens lists the user's tokens of a kind that have not expired.
	MailTokens(ctx context.Context, id UserID, kind MailKind, now time.Time) ([]MailToken, error)
	// ExtendMailToken changes the expiry of a token, if the token still exists.
	ExtendMailToken(ctx context.Context, hash string, expires time.Time) (bool, error)
	DeleteMailTokens(context.Context, UserID, ...MailKind) error
	// DeleteMailTokensAfter deletes the tokens of a kind that expire after the given time.
	DeleteMailTokensAfter(ctx context.Context, id UserID, kind MailKind, expires time.Time) error
	// DeleteSentTokens deletes the tokens of a kind that were mailed to an address, whether or not it has an account.
	DeleteSentTokens(context.Context, Address, MailKind) error
	// SentTokenWorks reports whether an unexpired token of a kind was mailed to an address.
	SentTokenWorks(ctx context.Context, email Address, kind MailKind, now time.Time) (bool, error)
	// LastMailToken returns the latest expiry of the user's tokens of a kind, or the zero time.
	LastMailToken(ctx context.Context, id UserID, kind MailKind, now time.Time) (time.Time, error)
}

// MailTx stores the outbox.
//
// Unstable: stores implement it.
type MailTx interface {
	InsertMail(context.Context, Mail) error
	// ClaimMail returns the mail that has been due longest at now, and counts an attempt. No other caller gets this
	// mail until the given time.
	ClaimMail(ctx context.Context, now, until time.Time) (Mail, error)
	// PostponeMail records a failed attempt. If givenUp is not zero, this was the last attempt.
	PostponeMail(ctx context.Context, id string, next time.Time, why string, givenUp time.Time) error
	DeleteMail(context.Context, string) error
	Mails(ctx context.Context, limit int) ([]Mail, error) // oldest first
	// RetryMail reschedules one mail (id) or all ("") for now, including abandoned ones.
	RetryMail(ctx context.Context, id string, now time.Time) (int, error)
	// Outbox counts the waiting and the abandoned mails, each up to OutboxCounted, and returns the time when the oldest
	// waiting mail was queued (zero if no mail waits).
	Outbox(context.Context) (waiting, givenUp int, oldest time.Time, err error)
}

// EventTx stores security events.
//
// Unstable: stores implement it.
type EventTx interface {
	// InsertEvent updates the count, time, address, device and request of a stored event with the same id, if any.
	InsertEvent(context.Context, Event) error
	Events(ctx context.Context, id UserID, limit int) ([]Event, error) // newest first
	// LastEvent returns the newest event of a kind. An empty id selects events without an account.
	LastEvent(ctx context.Context, id UserID, kind EventKind) (Event, error)
	// RequestEvents lists the events with a request id, newest first. For an empty id, the list is empty.
	RequestEvents(ctx context.Context, request string, limit int) ([]Event, error)
}

// CallbackTx stores the callbacks that are due (callback.go).
//
// Unstable: stores implement it.
type CallbackTx interface {
	// QueueEnded adds one callback for each session that the feed has numbered or that expired before now, up to
	// limit of either kind.
	QueueEnded(ctx context.Context, now time.Time, limit int) error
	// ClaimCallbacks returns up to limit callbacks that are due at now, and counts an attempt for each. No other
	// caller gets these callbacks until the given time.
	ClaimCallbacks(ctx context.Context, kind CallbackKind, now, until time.Time, limit int) ([]Callback, error)
	PostponeCallback(ctx context.Context, c Callback, next time.Time) error
	DeleteCallback(context.Context, Callback) error
}

// KeyTx stores keys and secrets, sealed.
//
// Unstable: stores implement it.
type KeyTx interface {
	// InsertKey inserts a key. It reports false if a key with the same use and number exists.
	InsertKey(context.Context, Key) (bool, error)
	Keys(context.Context) ([]Key, error) // ordered by Key.Use and ActiveFrom
	SetKeyTimes(ctx context.Context, id string, activeFrom, dropAt time.Time) error
	DeleteKey(context.Context, string) error
	// HoldKey returns the key with number 1 of a KeyUse, and locks it until the transaction ends. Later statements
	// see all changes that were committed before the lock.
	HoldKey(context.Context, KeyUse) (Key, error)
	SetSealedKey(ctx context.Context, id string, sealed []byte) error
}

// LimitTx counts uses of rate limits.
//
// Unstable: stores implement it.
type LimitTx interface {
	// Charge counts one use and returns 0. If the limit is reached, it counts nothing and returns how long to wait.
	Charge(context.Context, Charge) (time.Duration, error)
	Refund(context.Context, Charge) error
}

// SweepTx deletes rows that are no longer needed, in small batches.
//
// Unstable: stores implement it.
type SweepTx interface {
	// Sweep deletes up to limit rows and returns their number.
	Sweep(ctx context.Context, what Sweep, before time.Time, limit int) (int, error)
	// SweepLimits reads up to limit counters that may have expired, beginning after a position in a fixed order. It
	// deletes the expired ones. It returns the position of the last counter that it read (at the end, zero) and the
	// number of deleted counters.
	SweepLimits(ctx context.Context, after LimitMark, before time.Time, limit int) (LimitMark, int, error)
}

// OutboxCounted is the maximum number up to which MailTx.Outbox counts.
//
// Unstable: only stores use it.
const OutboxCounted = 10_000

// A LimitMark is a position in the order in which SweepTx.SweepLimits reads counters.
//
// Unstable: only stores use it.
type LimitMark struct {
	SweepFrom int64 // nanoseconds since 1970
	Key       string
}

// A Sweep names rows that SweepTx deletes by their age. The comment of each value says from when the age counts.
//
// Unstable: only stores use it.
type Sweep string

const (
	SweepSessions    Sweep = "sessions"     // since the end or expiry
	SweepMailTokens  Sweep = "mail_tokens"  // since the expiry
	SweepEvents      Sweep = "events"       // since the event
	SweepMails       Sweep = "mails"        // since the last attempt
	SweepSignups     Sweep = "signups"      // since the sign-up
	SweepCallbacks   Sweep = "callbacks"    // since it was queued
	SweepChallenges  Sweep = "challenges"   // since the expiry
	SweepDevices     Sweep = "devices"      // since the expiry
	SweepServiceKeys Sweep = "service_keys" // since the expiry or revocation
	SweepIdempotency Sweep = "idempotency"  // since the expiry
)
