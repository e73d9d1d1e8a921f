package sqlite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// Operators search among millions of rows, so their statements must read a range of an index and must not sort. Each
// statement for administration must have a row in this table. A test of store/postgres checks the plans on
// PostgreSQL.
func TestOperatorsFindByIndex(t *testing.T) {
	t.Parallel()
	store := openStore(t, newDatabasePath(t))
	const (
		byAddress    = "SEARCH users USING INDEX sqlite_autoindex_users_2 (email>? AND email<?)"
		byServiceKey = "SEARCH service_keys USING PRIMARY KEY (id=?)"
		byRecord     = "SEARCH idempotency USING PRIMARY KEY (owner=? AND key=?)"
		noPlan       = "" // no plan: an insertion reads no row
	)
	want := map[string]string{
		"selectUsers":         byAddress,
		"selectLastEvent":     "SEARCH events USING INDEX events_by_user (user_id=?)",
		"selectRequestEvents": "SEARCH events USING INDEX events_by_request (request_id=?)",
		"selectPrivate":       byAddress,

		"selectAccounts":     byAddress,
		"selectRoleAccounts": "SEARCH user_roles USING PRIMARY KEY (role=? AND user_id>? AND user_id<?)",
		"lastAccount":        "SEARCH users USING COVERING INDEX sqlite_autoindex_users_2 (email>? AND email<?)",
		"lastWithRole":       "SEARCH user_roles USING PRIMARY KEY (role=? AND user_id>?)",
		"selectAccount":      "SEARCH users USING PRIMARY KEY (id=?)",
		"selectSessionsOf":   "SEARCH sessions USING INDEX sessions_by_user (user_id=?)",
		"hasAdmin":           "SEARCH user_roles USING PRIMARY KEY (role=?)",
		"insertRole":         noPlan,
		"deleteRoles":        "SEARCH user_roles USING COVERING INDEX user_roles_by_user (user_id=?)",

		"insertServiceKey":  noPlan,
		"selectServiceKey":  byServiceKey,
		"selectServiceKeys": "SEARCH service_keys USING PRIMARY KEY (id<?)",
		"revokeServiceKey":  byServiceKey,
		"touchServiceKey":   byServiceKey,
		"sweepServiceKeys":  byServiceKey,

		"claimRecord":       noPlan,
		"selectRecord":      byRecord,
		"finishRecord":      byRecord,
		"dropRecord":        byRecord,
		"sweepRecords":      "SEARCH idempotency USING COVERING INDEX idempotency_expiring (expires_at<?)",
		"deleteIdempotency": "SEARCH idempotency USING PRIMARY KEY (owner=?)",

		"selectEventsBefore": "SEARCH events USING INDEX events_by_age (at>? AND at<?)",
		"selectUserEvents":   "SEARCH events USING INDEX events_by_user (user_id=? AND at>? AND at<?)",
		"selectSystemEvents": "SEARCH events USING INDEX events_by_user (user_id=? AND at>? AND at<?)",
		"countEvents":        "SEARCH events USING INDEX events_by_age (at>?)",
		"selectMailsAfter":   "SCAN mails", // allowed, because the outbox contains only unsent mail
		"selectUserMails":    "SEARCH mails USING INDEX mails_by_user (user_id=?)",
		"countUsers":         "SEARCH users USING PRIMARY KEY (id>?)",
		"countLive":          "SEARCH sessions USING INDEX sessions_expiring (expires_at>?)",
	}
	for _, s := range sqlstore.AdminStatements() {
		if _, ok := want[s.Name]; !ok {
			t.Errorf("%s has no row in this test", s.Name)
		}
	}
	// These statements may sort, because they sort few rows: those of one account or request, unsent mail, or the
	// groups of a bounded number of events.
	sorts := []string{"selectSessionsOf", "selectRequestEvents", "selectMailsAfter", "selectUserMails", "countEvents"}
	for _, s := range sqlstore.Statements() {
		step, checked := want[s.Name]
		if !checked {
			continue
		}
		delete(want, s.Name)
		steps, err := store.Plan(t.Context(), s.Text)
		if err != nil || (step == noPlan) != (len(steps) == 0) || (step != noPlan && !slices.Contains(steps, step)) {
			t.Errorf("%s: %v %q, want %q", s.Name, err, steps, step)
		}
		all := strings.Join(steps, "\n")
		for _, table := range []string{"users", "factors", "user_roles", "sessions", "events", "idempotency"} {
			if strings.Contains(all, "SCAN "+table) {
				t.Errorf("%s reads a whole table: %q", s.Name, steps)
			}
		}
		if strings.Contains(all, "TEMP B-TREE") && !slices.Contains(sorts, s.Name) {
			t.Errorf("%s sorts: %q", s.Name, steps)
		}
	}
	if len(want) > 0 {
		t.Errorf("no statement has the name %v", want)
	}
}
