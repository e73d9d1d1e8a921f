package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Live keeps rows in memory, because reading them takes ten times as long as a check that they are
// current. The check is exact: a call that begins after a commit has returned sees it, whichever
// process committed. This is why:
//
//  1. Each call reads PRAGMA data_version on one connection, the checker. The number
//     changes with every commit of another connection, so an equal number means that the
//     file has not changed since the rows were current (liveRows.version). If it differs
//     and this process is not committing, all rows are dropped.
//  2. The commits of this process change the number, too. Dropping all rows for each of
//     them would make the memory useless beside refreshes. After its commit, a writer
//     therefore reads (a) the number of the checker and then (b) the data_version of its
//     own connection, which counts only the commits of others. It holds writeLock until
//     then, so this process commits nothing else in between. If (b) is the same as after
//     the previous commit, no other process has committed up to (b). The checker's number
//     at (a) then stands for the previous state and this one commit. The writer drops the
//     rows that its commit changed, and the others are current at (a). If (b) differs, it
//     drops all rows.
//  3. Between a commit and (b), calls see a number that they can't explain. They read the
//     row from the file and don't keep it.
//  4. A row that was read from the file is kept only if version is still what it was
//     before the read. Otherwise a commit may have dropped the row during the read, and a
//     late put would bring back its old state.
//
// A number that can't be read is never equal, so a failure of the check costs a read of
// the file and nothing else.

// maxLiveRows bounds the sessions and the users in memory, at about 1 kB for both.
const maxLiveRows = 8192

// unknownVersion equals no data_version.
const unknownVersion = -1

var effects = sqlstore.Effects()

// liveRows are the sessions and users in memory.
type liveRows struct {
	mu         sync.Mutex
	checker    *checker
	version    int64 // of the checker, at which all rows are current
	committing bool  // from before a commit of this process until (b)
	sessions   map[watchword.SessionID]*liveRow
	users      map[watchword.UserID]*watchword.User

	// The fields below are guarded by Store.writeLock.
	writer  driver.Conn // the connection that foreign belongs to; kept so that its address is not reused
	foreign int64       // data_version of the writer at the last (b)
}

// A liveRow is immutable. It is current while its user is the one in liveRows.users.
// Dropping a user therefore drops all sessions of the user.
type liveRow struct {
	session watchword.Session
	user    *watchword.User
}

// openLive opens the checker outside of every pool, because a pool could replace it.
func (s *Store) openLive(path string) (err error) {
	l := &s.live
	l.version, l.foreign = unknownVersion, unknownVersion
	l.sessions = map[watchword.SessionID]*liveRow{}
	l.users = map[watchword.UserID]*watchword.User{}
	l.foreign = s.foreignVersion()
	l.checker, err = openChecker(s.reader.Driver(), path)
	return err
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
		session, user, err = sqlstore.NewTx(poolConn{s.reading}).Session(ctx, id)
		if err != nil {
			return session, user, fmt.Errorf("read session: %w", unavailable(ctx, err))
		}
		s.live.put(session, user, version)
	}
	// The caller may change its slices, but not those in memory.
	session.Methods, user.Roles = slices.Clone(session.Methods), slices.Clone(user.Roles)
	return session, user, nil
}

// get returns the row if it is current, and the version to give to put if it is not.
func (l *liveRows) get(id watchword.SessionID) (row *liveRow, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := l.checker.version()
	if err != nil || now != l.version && l.committing {
		return nil, unknownVersion
	}
	if now != l.version {
		l.dropAll(now)
	}
	if row = l.sessions[id]; row != nil && l.users[row.session.UserID] == row.user {
		return row, now
	}
	return nil, now
}

// put keeps a row that was read after get returned version.
func (l *liveRows) put(session watchword.Session, user watchword.User, version int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version == unknownVersion || version != l.version {
		return
	}
	owner := l.users[user.ID]
	if owner == nil {
		owner = &user
		makeRoom(l.users)
		l.users[user.ID] = owner
	}
	makeRoom(l.sessions)
	l.sessions[session.ID] = &liveRow{session, owner}
}

// makeRoom deletes one row, in no particular order, if the map is full. A better choice would need
// a list in the order of use, and the bound is rarely reached.
func makeRoom[K comparable, V any](rows map[K]V) {
	if len(rows) < maxLiveRows {
		return
	}
	for id := range rows {
		delete(rows, id)
		return
	}
}

// dropAll drops every row. The caller holds mu.
func (l *liveRows) dropAll(version int64) {
	clear(l.sessions)
	clear(l.users)
	l.version = version
}

// commit commits a transaction of this process and drops the rows that it changed. The
// caller holds writeLock. If the commit fails, its outcome is unknown, so the rows are
// dropped as well.
func (s *Store) commit(tx *sql.Tx, changed *changes) error {
	s.live.mu.Lock()
	s.live.committing = true
	s.live.mu.Unlock()
	err := tx.Commit()
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if len(s.live.sessions) == 0 { // no rows in memory, so no check
		s.live.dropAll(unknownVersion)
	} else {
		s.settle(changed)
	}
	s.live.committing = false
	return err
}

// settle drops the rows that are out of date after a commit of this process. It is step 2 of the
// explanation at the top of this file. The caller holds writeLock and live.mu.
func (s *Store) settle(changed *changes) {
	l := &s.live
	now, err := l.checker.version() // (a)
	if err != nil {
		now = unknownVersion
	}
	// Calls need not wait for the writing connection, because committing is still set.
	l.mu.Unlock()
	foreign := s.foreignVersion() // (b)
	l.mu.Lock()
	if now == unknownVersion || foreign == unknownVersion || foreign != l.foreign || changed.everywhere {
		l.dropAll(now)
	}
	l.foreign, l.version = foreign, now
	for _, id := range changed.users {
		delete(l.users, id)
	}
	for _, id := range changed.sessions {
		delete(l.sessions, id)
	}
}

// foreignVersion reads data_version on the writing connection, or returns unknownVersion.
// If database/sql has replaced the connection, it sets foreign to unknownVersion. The caller holds
// writeLock.
func (s *Store) foreignVersion() (version int64) {
	l := &s.live
	version = unknownVersion
	conn, err := s.writer.Conn(context.Background())
	if err != nil {
		return version
	}
	defer conn.Close() //nolint:errcheck // returns the connection to its pool
	_ = conn.Raw(func(raw any) error {
		if current := raw.(driver.Conn); current != l.writer {
			l.writer, l.foreign = current, unknownVersion // its numbers are not comparable
		}
		if n, err := versionOf(l.writer); err == nil {
			version = n
		}
		return nil
	})
	return version
}

// changes are the rows that a transaction may have changed.
type changes struct {
	everywhere bool
	users      []watchword.UserID
	sessions   []watchword.SessionID
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
