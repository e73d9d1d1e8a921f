package sqlite

import "context"

// FillUp makes the disk full for the writer, until MakeRoom: SQLite refuses a
// page beyond this number just as it refuses one that the disk has no room for.
func (s *Store) FillUp(ctx context.Context) error {
	_, err := s.writer.ExecContext(ctx, "PRAGMA max_page_count = 1")
	return err
}

// MakeRoom ends FillUp.
func (s *Store) MakeRoom(ctx context.Context) error {
	_, err := s.writer.ExecContext(ctx, "PRAGMA max_page_count = 1000000")
	return err
}

// Exec changes what no method of a store can.
func (s *Store) Exec(ctx context.Context, text string, args ...any) error {
	_, err := s.writer.ExecContext(ctx, text, args...)
	return err
}

// Plan says how SQLite carries out a statement.
func (s *Store) Plan(ctx context.Context, text string) (steps []string, err error) {
	rows, err := s.reader.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, make([]any, 20)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
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

// Queued counts the rotations that wait for the turn.
func (s *Store) Queued() int { return len(s.rotations) }
