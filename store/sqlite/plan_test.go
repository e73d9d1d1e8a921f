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
	const byAddress = "SEARCH users USING INDEX sqlite_autoindex_users_2 (email>? AND email<?)"
	want := map[string]string{
		"selectUsers":         byAddress,
		"selectRequestEvents": "SEARCH events USING INDEX events_by_request (request_id=?)",
		"selectAccounts":      byAddress,
		"selectPrivate":       byAddress,
		"selectRoleAccounts":  "SEARCH user_roles USING PRIMARY KEY (role=? AND user_id>? AND user_id<?)",
		"lastAccount":         "SEARCH users USING COVERING INDEX sqlite_autoindex_users_2 (email>? AND email<?)",
		"lastWithRole":        "SEARCH user_roles USING PRIMARY KEY (role=? AND user_id>?)",
		"selectEventsBefore":  "SEARCH events USING INDEX events_by_age (at>? AND at<?)",
		"selectUserEvents":    "SEARCH events USING INDEX events_by_user (user_id=? AND at>? AND at<?)",
		"selectServiceKey":    "SEARCH service_keys USING PRIMARY KEY (id=?)",
		"selectServiceKeys":   "SEARCH service_keys USING PRIMARY KEY (id<?)",
		"selectRecord":        "SEARCH idempotency USING PRIMARY KEY (owner=? AND key=?)",
		"selectAccount":       "SEARCH users USING PRIMARY KEY (id=?)",
		"hasAdmin":            "SEARCH user_roles USING PRIMARY KEY (role=?)",
		"selectSessionsOf":    "SEARCH sessions USING INDEX sessions_by_user (user_id=?)",
	}
	sorts := []string{"selectSessionsOf", "selectRequestEvents"} // a few rows of one account or request
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
		all := strings.Join(steps, "\n")
		if strings.Contains(all, "SCAN users") || strings.Contains(all, "SCAN factors") {
			t.Errorf("%s reads a whole table: %q", s.Name, steps)
		}
		if strings.Contains(all, "TEMP B-TREE") && !slices.Contains(sorts, s.Name) {
			t.Errorf("%s sorts: %q", s.Name, steps)
		}
	}
	if len(want) > 0 {
		t.Errorf("no statement has the name %v", want)
	}
}
