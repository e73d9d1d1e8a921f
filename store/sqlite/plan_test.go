package sqlite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// An operator finds accounts and requests among millions of rows. The statements read a range of an index and
// don't sort. The test of package postgres checks the same there.
func TestOperatorsFindByIndex(t *testing.T) {
	t.Parallel()
	store := open(t, newPath(t))
	want := map[string]string{
		"selectUsers":         "SEARCH users USING INDEX sqlite_autoindex_users_2 (email>? AND email<?)",
		"selectRequestEvents": "SEARCH events USING INDEX events_by_request (request_id=?)",
	}
	for _, s := range sqlstore.Statements() {
		step, checked := want[s.Name]
		if !checked {
			continue
		}
		delete(want, s.Name)
		steps, err := store.Plan(t.Context(), s.Text)
		if err != nil || !slices.Contains(steps, step) {
			t.Errorf("%s: %v %q, want %q", s.Name, err, steps, step)
		}
		if s.Name == "selectUsers" && strings.Contains(strings.Join(steps, "\n"), "TEMP B-TREE") {
			t.Errorf("%s sorts: %q", s.Name, steps)
		}
	}
	if len(want) > 0 {
		t.Errorf("no statement has the name %v", want)
	}
}
