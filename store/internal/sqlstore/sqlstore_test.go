package sqlstore_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/internal/sqlstore"
)

// The parameters of every statement must be numbered in the order of their first appearance. SQLite numbers
// parameters by position and ignores the digits, but PostgreSQL uses the digits.
func TestParametersAreNumberedAsTheyAppear(t *testing.T) {
	t.Parallel()
	for _, text := range sqlstore.All() {
		highest := 0
		for _, found := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(found[1])
			if n > highest+1 {
				t.Errorf("$%d comes before $%d in:\n%s", n, highest+1, text)
			}
			highest = max(highest, n)
		}
	}
}

func TestEveryStatementIsListedOnce(t *testing.T) {
	t.Parallel()
	all := sqlstore.All()
	slices.Sort(all)
	for i := range all[1:] {
		if all[i] == all[i+1] {
			t.Errorf("listed twice:\n%s", all[i])
		}
	}
}

// Statements must not use syntax that only one of the two databases understands.
func TestStatementsUseOnlySharedSQL(t *testing.T) {
	t.Parallel()
	foreign := regexp.MustCompile(`(?i)\b(OR REPLACE|OR IGNORE|ROWID|PRAGMA|GLOB|IFNULL|STRFTIME|ILIKE|` +
		`ANY|UNNEST|FOR UPDATE|SKIP LOCKED|NOW)\b|::|\?|"`)
	for _, text := range sqlstore.All() {
		// Both databases have a collation of this name. It is built into SQLite, and a migration creates
		// it on PostgreSQL.
		shared := strings.ReplaceAll(text, `COLLATE "binary"`, "")
		if found := foreign.FindString(shared); found != "" {
			t.Errorf("%q in:\n%s", found, text)
		}
	}
}
