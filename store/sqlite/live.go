package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// This file keeps sessions and users in memory for Live, because reading a row takes ten times as long as checking
// that it is current. The check is exact: Live sees every commit that returned before Live began, even commits of
// other processes.
//
// Each connection has a version (data_version). It changes when another connection commits, in this process or in
// another one. One connection, the checker, never writes, so every commit changes its version.
//
//  1. Each call of Live compares the version of the checker with liveRows.rowsVersion. If they
//     are equal, the file has not changed, so all rows in memory are current. If they differ
//     and this process is not committing, Live drops all rows. Live needs to read the
//     version again only if the header of the WAL-index has changed (currentVersion).
//  2. Commits of this process also change the version of the checker. On a server with
//     refreshes, dropping all rows for each commit would make the memory useless. After its
//     commit, a writer therefore reads (a) the version of the checker and then (b) its own
//     version. It holds writeLock until then, so this process makes no other commit.
//     The writer's own version changes only with commits of other processes. A commit before
//     the transaction changes it between the previous (b) and the beginning of the
//     transaction (isCurrent). A commit after the transaction changes it between the
//     writer's commit and (b). In both cases, the writer drops all rows.
//     Otherwise, only the writer's commit has changed the file. The writer then drops or
//     replaces the rows that its commit has changed. All other rows are current at (a).
//  3. Between a commit and (b), Live sees a new version without knowing which rows
//     changed. It then reads the row from the file and does not store it in memory.
//  4. Live stores a row that it has read from the file only if liveRows.rowsVersion is the same
//     as before the read. Otherwise, a commit may have changed the row during the read, and
//     addIfUnchanged would store the old state.
//  5. A rotation uses a row in memory without reading it again. It runs inside a write
//     transaction, so no process commits before it ends. If isCurrent is true at the
//     beginning, no process has committed since the previous (b), so all rows are current.
//
// If a version can't be read, it counts as changed, and Live reads the file.

// maxLiveRows is the maximum number of sessions in memory, and also of users. One session and its user take about 1
// kB.
const maxLiveRows = 8192

// unknownVersion means that reading the version failed. It differs from every data_version.
const unknownVersion = -1

// walIndexHeaderSize is in bytes: two copies of 48 bytes (SQLite, *WAL-mode File Format*, section 2.1).
const walIndexHeaderSize = 96

var statementEffects = sqlstore.Effects()

// liveRows contains the sessions and users in memory, and the version at which they are current. In its comments, (b)
// refers to point 2 at the top of this file.
type liveRows struct {
	mu           sync.Mutex
	checker      *connection
	sharedHeader *[walIndexHeaderSize]byte // memory shared by all processes; nil if not found
	lastHeader   [walIndexHeaderSize]byte  // copy from the last read of the version
	lastRead     int64                     // the checker's version
	rowsVersion  int64                     // the checker's version at which all rows are current
	committing   bool                      // this process is committing and has not reached (b)
	sessions     map[watchword.SessionID]*liveRow
	users        map[watchword.UserID]*watchword.User

	// writerVersion is the writer's version at its last (b), or at a commit that skipped (b). Store.writeLock guards it.
	writerVersion int64
}

// A liveRow is a session in memory and its user. It is immutable. It is valid only while liveRows.users contains the
// same pointer, so dropping a user also drops all sessions of the user.
type liveRow struct {
	session watchword.Session
	user    *watchword.User
}

// openChecker opens the checker, a connection that can't write (query_only). A connection that writes would not
// notice its own commits, because they do not change its version.
func (s *Store) openChecker(ctx context.Context) (err error) {
	l := &s.live
	l.rowsVersion, l.writerVersion, l.lastRead = unknownVersion, unknownVersion, unknownVersion
	l.sessions = map[watchword.SessionID]*liveRow{}
	l.users = map[watchword.UserID]*watchword.User{}
	if l.checker, err = dial(ctx, s.driver, s.source); err != nil {
		return err
	}
	l.checker.readVersion() // the first read maps the WAL-index
	l.sharedHeader = findWALIndex(s.path)
	return nil
}

// currentVersion returns the version of the checker (data_version). It skips reading the version while the header of
// the WAL-index is unchanged, which saves a third of the time of an authenticated request. This is correct, because
// each commit rewrites the header before it returns. SQLite changes the version only if the header has changed.
//
// The copy of the header is made before the version is read. If a commit comes in between, the next call finds a
// different header and reads the version again. The caller holds mu.
func (l *liveRows) currentVersion() int64 {
	if l.sharedHeader == nil {
		return l.checker.readVersion()
	}
	if header := *l.sharedHeader; l.lastRead == unknownVersion || header != l.lastHeader {
		l.lastHeader, l.lastRead = header, l.checker.readVersion()
	}
	return l.lastRead
}

// Live returns the row in memory if it is current. Otherwise, it reads the file with one statement. The statement
// reads one snapshot, even without a transaction.
//
// Unstable: implements watchword.Store, which may grow.
func (s *Store) Live(
	ctx context.Context, id watchword.SessionID,
) (session watchword.Session, user watchword.User, err error) {
	if err := s.beginOperation(); err != nil {
		return session, user, err
	}
	defer s.running.Done()
	if err := ctx.Err(); err != nil {
		return session, user, fmt.Errorf("read session: %w", classifyError(ctx, err))
	}
	row, version := s.live.currentRow(id)
	if row != nil {
		session, user = row.session, *row.user
	} else {
		if session, user, err = s.readSession(ctx, id); err != nil {
			return session, user, fmt.Errorf("read session: %w", classifyError(ctx, err))
		}
		s.live.addIfUnchanged(session, user, version)
	}
	session, user = cloneSlices(session, user)
	return session, user, nil
}

// cloneSlices prevents callers who change a slice from changing the row in memory.
func cloneSlices(s watchword.Session, u watchword.User) (watchword.Session, watchword.User) {
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

// currentRow returns nil if the row is not in memory or may be outdated. The caller then reads the row, and passes
// the version to addIfUnchanged.
func (l *liveRows) currentRow(id watchword.SessionID) (row *liveRow, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.currentVersion()
	if now == unknownVersion || now != l.rowsVersion && l.committing {
		return nil, unknownVersion
	}
	if now != l.rowsVersion {
		l.dropAll(now)
	}
	return l.findRow(id), now
}

// findRow returns nil if the row is not in memory. The caller holds mu.
func (l *liveRows) findRow(id watchword.SessionID) *liveRow {
	if row := l.sessions[id]; row != nil && l.users[row.session.UserID] == row.user {
		return row
	}
	return nil
}

// isCurrent reports whether all rows in memory are current. It compares the version that the writer read when its
// transaction began with the version at the last (b). The caller has begun this transaction.
func (l *liveRows) isCurrent(writer *connection) bool {
	now := writer.lastVersion()
	return now != unknownVersion && now == l.writerVersion
}

// rowInTransaction returns the row of a session, including the changes of the current transaction. It returns nil if
// the row is not in memory or may be outdated.
func (l *liveRows) rowInTransaction(id watchword.SessionID, changed *changedRows) *liveRow {
	if row := changed.finalRows[id]; row != nil || !changed.rowsWereCurrent {
		return row
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.findRow(id)
}

// addIfUnchanged stores a row that the caller has read from the file. The caller passes the version that currentRow
// returned before the read. If rowsVersion has changed since then, the row is not stored, because it may be out of
// date.
func (l *liveRows) addIfUnchanged(session watchword.Session, user watchword.User, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version != unknownVersion && version == l.rowsVersion {
		l.addRow(&liveRow{session, &user})
	}
}

// addRow stores a row in memory. If the user of the session is already in memory, the row gets a pointer to this user
// instead of its own. The caller holds mu.
func (l *liveRows) addRow(row *liveRow) {
	if owner := l.users[row.user.ID]; owner == nil {
		insertOrEvict(l.users, row.user.ID, row.user)
	} else if owner != row.user {
		row = &liveRow{row.session, owner}
	}
	insertOrEvict(l.sessions, row.session.ID, row)
}

// insertOrEvict stores a row in a map. If the map is full, it first deletes an arbitrary row. This is rarely needed,
// and finding the least recently used row would need a list in the order of use.
func insertOrEvict[K comparable, V any](rows map[K]V, id K, row V) {
	if _, replaces := rows[id]; !replaces && len(rows) >= maxLiveRows {
		for other := range rows {
			delete(rows, other)
			break
		}
	}
	rows[id] = row
}

// dropAll deletes all rows in memory and sets rowsVersion. The caller holds mu.
func (l *liveRows) dropAll(version int64) {
	clear(l.sessions)
	clear(l.users)
	l.rowsVersion = version
}

// commit commits the transaction of the writer, and drops or replaces the rows in memory that it changed. If the
// commit fails, its outcome is unknown, so the rows are dropped. The caller holds writeLock.
func (s *Store) commit(changed *changedRows) error {
	s.live.mu.Lock()
	s.live.committing = true
	s.live.mu.Unlock()
	_, err := s.writer.Exec(context.Background(), "COMMIT")
	if err != nil {
		s.writer.rollback()
		changed.finalRows = nil
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if len(s.live.sessions)+len(changed.finalRows) == 0 { // no rows in memory, so (a) and (b) are not needed
		s.live.dropAll(unknownVersion)
		// From now on, addIfUnchanged stores only rows that were read after this commit.
		s.live.writerVersion = s.writer.lastVersion()
	} else {
		s.updateRows(changed)
	}
	s.live.committing = false
	return err
}

// updateRows runs after a commit of this process. It implements point 2 of the explanation at the top of this file.
// The caller holds writeLock and live.mu.
func (s *Store) updateRows(changed *changedRows) {
	l := &s.live
	committed := s.writer.lastVersion()
	now := l.currentVersion() // (a)
	// live.mu is released while the writer reads the file, so that calls of Live do not wait. This is safe, because
	// committing is still set.
	l.mu.Unlock()
	l.writerVersion = s.writer.readVersion() // (b)
	l.mu.Lock()
	alone := now != unknownVersion && l.writerVersion != unknownVersion && l.writerVersion == committed
	if !alone || !changed.rowsWereCurrent || changed.everywhere {
		l.dropAll(now)
	}
	l.rowsVersion = now
	for _, id := range changed.users {
		delete(l.users, id)
	}
	for _, id := range changed.sessions {
		delete(l.sessions, id)
	}
	// If alone is true, no other process has committed since the transaction read the rows in changed.finalRows. These
	// rows are therefore current, and stay in memory even if dropAll has deleted all others.
	if alone {
		for _, row := range changed.finalRows {
			l.addRow(row)
		}
	}
}

// changedRows are the rows that a transaction may have changed.
type changedRows struct {
	everywhere bool
	users      []watchword.UserID
	sessions   []watchword.SessionID

	rowsWereCurrent bool                             // when the transaction began
	finalRows       map[watchword.SessionID]*liveRow // at the end of the transaction
}

// keepRow records a row, which is stored in memory after the commit. The transaction must not change the session or
// the user later.
func (c *changedRows) keepRow(session watchword.Session, user watchword.User) {
	if c.finalRows == nil {
		c.finalRows = map[watchword.SessionID]*liveRow{}
	}
	c.finalRows[session.ID] = &liveRow{session, &user}
}

// noteStatement adds the rows that a statement with these arguments may have changed.
func (c *changedRows) noteStatement(text string, args []any) {
	switch statementEffects[text] {
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
