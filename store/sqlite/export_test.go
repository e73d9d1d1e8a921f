package sqlite

import "context"

// FillUp simulates a full disk for writes until MakeRoom. A limit of pages gives the same
// error (SQLITE_FULL) as a full disk.
func (s *Store) FillUp(ctx context.Context) error {
	_, err := s.writer.Exec(ctx, "PRAGMA max_page_count = 1")
	return err
}

// MakeRoom ends FillUp.
func (s *Store) MakeRoom(ctx context.Context) error {
	_, err := s.writer.Exec(ctx, "PRAGMA max_page_count = 1000000")
	return err
}

// Exec runs SQL that no method of a store runs.
func (s *Store) Exec(ctx context.Context, text string, args ...any) error {
	s.writeLock <- struct{}{}
	defer func() { <-s.writeLock }()
	_, err := s.writer.Exec(ctx, text, args...)
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	s.live.dropAll(unknownVersion) // the writing connection does not count its own commits
	return err
}

// Plan returns the query plan of a statement.
func (s *Store) Plan(ctx context.Context, text string) (steps []string, err error) {
	reader, err := s.takeReader(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { s.readers <- reader }()
	rows, err := reader.Query(ctx, "EXPLAIN QUERY PLAN "+text, make([]any, 20)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err returns the error
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, rows.Err()
}

// Queued returns the number of rotations that wait for the write lock.
func (s *Store) Queued() int { return s.rotations.Len() }

// InMemory returns the number of sessions that Live would return without reading the file,
// if no other process has committed since.
func (s *Store) InMemory() (n int) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	for _, row := range s.live.sessions {
		if s.live.users[row.session.UserID] == row.user {
			n++
		}
	}
	return n
}

// MaxLiveRows is the largest number of sessions in memory.
const MaxLiveRows = maxLiveRows
