package watchword_test

import (
	"go/ast"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
)

// Two limits with the same purpose would share their counters. A purpose that ends with "_" is only a prefix: the
// engine appends a suffix, such as the kind of mail. No other purpose may begin with such a prefix.
func TestPurposesOfLimitsAreUnique(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`(?m)^\t(limit\w+) +limitPurpose = "(\w+)"`).FindAllStringSubmatch(
		readText(t, "limits.go"), -1)
	if len(found) < 15 {
		t.Fatalf("the test found only %d purposes", len(found))
	}
	productFiles(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			selector, _ := n.(*ast.SelectorExpr)
			if from, name := qualifiedName(selector); from == "ratelimit" && name == "Key" && path != "limits.go" &&
				!strings.HasPrefix(path, "store/storetest/") {
				t.Errorf("%s computes the key of a counter: add a limitPurpose to limits.go", path)
			}
			return true
		})
	})
	for i, a := range found {
		for j, b := range found {
			if i != j && (a[2] == b[2] || strings.HasSuffix(a[2], "_") && strings.HasPrefix(b[2], a[2])) {
				t.Errorf("%s (%q) and %s (%q) can share a counter", a[1], a[2], b[1], b[2])
			}
		}
	}
}

// The table of limits in the documentation must have its rows in the order of the fields of Limits.
func TestTableOfLimitsStatesTheDefaults(t *testing.T) {
	t.Parallel()
	text, _, _ := strings.Cut(readSection(t, "docs/operations.md", "## Limits"), "\n\nA client is")
	rows := tableRows(text)
	limits := reflect.ValueOf(watchword.DefaultsOf(watchword.Options{PublicURL: "https://id.example.com"}).Limits)
	if len(rows) != limits.NumField() {
		t.Fatalf("docs/operations.md, Limits: %d rows for %d limits", len(rows), limits.NumField())
	}
	digits := strings.NewReplacer(",", "", "in a ", "in 1 ", "in an ", "in 1 ")
	for i, row := range rows {
		limit := limits.Type().Field(i).Name
		if !statesDefault(limits, limit, digits.Replace(row[1])) {
			t.Errorf("docs/operations.md: %q has the default %q, but %s is %v", row[0], row[1], limit, limits.Field(i))
		}
	}
}
