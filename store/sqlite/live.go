package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Live keeps rows in memory, because reading them takes ten times as long as a check that they are
// current. The check is exact: a call that begins after a commit has returned sees it, whichever
// process committed. The reasons are:
//
//  1. Each call reads the version of one connection, the checker. The number changes with
//     every commit of another connection, so an equal number means that the file has not
//     changed since the rows were current (liveRows.version). If it differs and this
//     process is not committing, all rows are dropped. The version is read again only if
//     the header of the WAL-index has changed (number).
//  2. The commits of this process change the number, too. Dropping all rows for each of them
//     would make the memory useless on a server with refreshes. After its commit, a writer
//     therefore reads (a) the version of the checker and then (b) that of its own connection. It
//     holds writeLock until then, so this process commits nothing else in between. The version of
//     the writer shows commits of other processes. If another process committed before the
//     transaction, the version at its beginning differs from the previous (b) (isCurrent). If
//     another process committed after it, the version changes between the commit and (b). In both
//     cases, the writer drops all rows. Otherwise, only this commit has changed the file until
//     (a). The writer drops or replaces the rows that its commit changed, and all other rows are
//     current at (a).
//  3. Between a commit and (b), calls see a new number without knowing which rows
//     changed. They read the row from the file and don't keep it in memory.
//  4. A row that was read from the file is kept only if version has not changed since
//     before the read. Otherwise a commit may have dropped the row during the read, and
//     put would restore the old state.
//  5. A rotation uses a row without reading it again. It runs inside a write transaction, so
//     no process commits before it ends. If isCurrent was true at the beginning, no process has
//     committed since the previous (b) either, so all rows are current.
//
// A number that can't be read counts as different, so a failed check only causes a read
// of the file.

// maxLiveRows bounds the sessions and the users in memory, at about 1 kB for both.
const maxLiveRows = 8192

// unknownVersion equals no data_version.
const unknownVersion = -1

// walIndexHeader is the size of the header of the WAL-index in bytes: two copies of 48 bytes
// (SQLite, *WAL-mode File Format*, section 2.1).
const walIndexHeader = 96

var effects = sqlstore.Effects()

// liveRows are the sessions and users in memory.
type liveRows struct {
	mu         sync.Mutex
	checker    *connection
	index      *[walIndexHeader]byte // in memory that all processes share; nil: not found
	header     [walIndexHeader]byte  // index before the checker last read its version
	read       int64                 // that version
	version    int64                 // of the checker, at which all rows are current
	committing bool                  // set before a commit of this process, until (b)
	sessions   map[watchword.SessionID]*liveRow
	users      map[watchword.UserID]*watchword.User

	settled int64 // version of the writer at the last (b), or at a commit without (b); guarded by Store.writeLock
}

// A liveRow is immutable. It is current while liveRows.users contains its user.
// Dropping a user therefore drops all sessions of the user.
type liveRow struct {
	session watchword.Session
	user    *watchword.User
}

// openLive opens the checker. It has query_only, because it must never change the number itself.
func (s *Store) openLive(ctx context.Context) (err error) {
	l := &s.live
	l.version, l.settled, l.read = unknownVersion, unknownVersion, unknownVersion
	l.sessions = map[watchword.SessionID]*liveRow{}
	l.users = map[watchword.UserID]*watchword.User{}
	if l.checker, err = dial(ctx, s.driver, s.source); err != nil {
		return err
	}
	l.checker.version() // maps the WAL-index
	l.index = findWALIndex(s.path)
	return nil
}

// number returns the version of the checker. Each commit rewrites the header of the WAL-index before
// it returns. SQLite compares the header with its last copy at the beginning of each read
// transaction, and then counts the version. An equal header therefore means an equal version, and
// saves this transaction: a third of the time of a signed-in request.
//
// The copy is older than the transaction. If a commit comes in between, the header differs from
// the copy, and the next call reads the version again. The caller holds mu.
func (l *liveRows) number() int64 {
	if l.index == nil {
		return l.checker.version()
	}
	if header := *l.index; l.read == unknownVersion || header != l.header {
		l.header, l.read = header, l.checker.version()
	}
	return l.read
}

// Live returns the row in memory if it is current, and otherwise reads the file. A
// statement without a transaction reads one snapshot, too.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Live(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	if err := s.begin(); err != nil {
		return session, user, err
	}
	defer s.running.Done()
	if err := ctx.Err(); err != nil {
		return session, user, fmt.Errorf("read session: %w", unavailable(ctx, err))
	}
	row, version := s.live.get(id)
	if row != nil {
		session, user = row.session, *row.user
	} else {
		if session, user, err = s.readSession(ctx, id); err != nil {
			return session, user, fmt.Errorf("read session: %w", unavailable(ctx, err))
		}
		s.live.put(session, user, version)
	}
	session, user = ownSlices(session, user)
	return session, user, nil
}

// ownSlices copies the slices, because callers may change theirs, but not those in memory.
func ownSlices(s watchword.Session, u watchword.User) (watchword.Session, watchword.User) {
	s.Methods, u.Roles = slices.Clone(s.Methods), slices.Clone(u.Roles)
	return s, u
}

func (s *Store) readSession(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	reader, err := s.takeReader(ctx)
	if err != nil {
		return session, user, err
	}
	defer func() { s.readers <- reader }()
	return sqlstore.NewTx(reader).Session(ctx, id)
}

// get returns the row if it is current, and the version to give to put if it is not.
func (l *liveRows) get(id watchword.SessionID) (row *liveRow, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.number()
	if now == unknownVersion || now != l.version && l.committing {
		return nil, unknownVersion
	}
	if now != l.version {
		l.dropAll(now)
	}
	return l.find(id), now
}

// find returns the row in memory, or nil. The caller holds mu.
func (l *liveRows) find(id watchword.SessionID) *liveRow {
	if row := l.sessions[id]; row != nil && l.users[row.session.UserID] == row.user {
		return row
	}
	return nil
}

// isCurrent reports whether all rows in memory are current. The writer has begun a transaction,
// which read the version from the file.
func (l *liveRows) isCurrent(writer *connection) bool {
	now := writer.noticed()
	return now != unknownVersion && now == l.settled
}

// row returns the row of a session as the transaction sees it, if the row is in memory, or nil.
func (l *liveRows) row(id watchword.SessionID, changed *changes) *liveRow {
	if row := changed.kept[id]; row != nil || !changed.current {
		return row
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(id)
}

// put stores a row in memory that was read after get returned version.
func (l *liveRows) put(session watchword.Session, user watchword.User, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version != unknownVersion && version == l.version {
		l.add(&liveRow{session, &user})
	}
}

// add stores a row, which shares the user with other rows. The caller holds mu.
func (l *liveRows) add(row *liveRow) {
	if owner := l.users[row.user.ID]; owner == nil {
		addTo(l.users, row.user.ID, row.user)
	} else if owner != row.user {
		row = &liveRow{row.session, owner}
	}
	addTo(l.sessions, row.session.ID, row)
}

// addTo adds a row. If the map is full, it first deletes an arbitrary row. The bound is rarely
// reached, and a better choice would need a list in the order of use.
func addTo[K comparable, V any](rows map[K]V, id K, row V) {
	if _, replaces := rows[id]; !replaces && len(rows) >= maxLiveRows {
		for other := range rows {
			delete(rows, other)
			break
		}
	}
	rows[id] = row
}

// dropAll drops every row. The caller holds mu.
func (l *liveRows) dropAll(version int64) {
	clear(l.sessions)
	clear(l.users)
	l.version = version
}

// commit commits the transaction of the writer and drops or replaces the rows that it changed. The
// caller holds writeLock. If the commit fails, its outcome is unknown, so the rows are dropped.
func (s *Store) commit(changed *changes) error {
	s.live.mu.Lock()
	s.live.committing = true
	s.live.mu.Unlock()
	_, err := s.writer.Exec(context.Background(), "COMMIT")
	if err != nil {
		s.writer.rollback()
		changed.kept = nil
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if len(s.live.sessions)+len(changed.kept) == 0 { // no rows in memory, so no check
		s.live.dropAll(unknownVersion)
		// Rows that put stores from now on are at least as new as this commit.
		s.live.settled = s.writer.noticed()
	} else {
		s.settle(changed)
	}
	s.live.committing = false
	return err
}

// settle updates the rows in memory after a commit of this process. It implements point
// 2 of the explanation at the top of this file. The caller holds writeLock and live.mu.
func (s *Store) settle(changed *changes) {
	l := &s.live
	committed := s.writer.noticed()
	now := l.number() // (a)
	// Calls need not wait for the writing connection, because committing is still set.
	l.mu.Unlock()
	l.settled = s.writer.version() // (b)
	l.mu.Lock()
	alone := now != unknownVersion && l.settled != unknownVersion && l.settled == committed
	if !alone || !changed.current || changed.everywhere {
		l.dropAll(now)
	}
	l.version = now
	for _, id := range changed.users {
		delete(l.users, id)
	}
	for _, id := range changed.sessions {
		delete(l.sessions, id)
	}
	// The rows in changed.kept are current even if others are not: the transaction read them, and
	// no other process has committed between the transaction and (b).
	if alone {
		for _, row := range changed.kept {
			l.add(row)
		}
	}
}

// changes records the rows that a transaction may have changed.
type changes struct {
	everywhere bool
	users      []watchword.UserID
	sessions   []watchword.SessionID

	current bool                             // the rows in memory are as the transaction sees them
	kept    map[watchword.SessionID]*liveRow // as they are after the transaction
}

// keep records the row of a session after the last change of the transaction. The
// transaction must not change the user.
func (c *changes) keep(session watchword.Session, user watchword.User) {
	if c.kept == nil {
		c.kept = map[watchword.SessionID]*liveRow{}
	}
	c.kept[session.ID] = &liveRow{session, &user}
}

// note adds the rows that a statement with these arguments may have changed.
func (c *changes) note(text string, args []any) {
	switch effects[text] {
	case sqlstore.NoEffect:
		return
	case sqlstore.Everywhere:
		c.everywhere = true
		return
	}
	before := len(c.users) + len(c.sessions)
	for _, arg := range args {
		switch id := arg.(type) {
		case watchword.UserID:
			c.users = append(c.users, id)
		case watchword.SessionID:
			c.sessions = append(c.sessions, id)
		}
	}
	if len(c.users)+len(c.sessions) == before {
		c.everywhere = true
	}
}
