package main_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/pgtest"
)

func TestUsersSetWritesMetadata(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, more := t.TempDir(), []string(nil)
			if name == "postgres" {
				more = postgresArguments(pgtest.Database(t))
			}
			set := func(args ...string) result {
				return run(t, call{dir: dir, args: append(append([]string{"users"}, args...), more...)})
			}
			if got := set("create", ada); got.code != 0 {
				t.Fatal(got.errors)
			}
			if got := set("set", ada, `plan="pro"`, `org.id=9007199254740993`, `org.on=true`, "--now"); got.code != 0 ||
				got.out != "Set the metadata of "+ada+".\n" {
				t.Fatalf("%d: %s%s", got.code, got.out, got.errors)
			}
			if got := set("set", ada, `note="owes"`, "--private"); got.code != 0 {
				t.Fatal(got.errors)
			}
			if got := set("set", ada, `plan=null`, "--json"); got.code != 0 || strings.Join(strings.Fields(got.out),
				"") !=
				`{"metadata":{"private":{"note":"owes"},"public":{"org":{"id":9007199254740993,"on":true}},"version":3}}` {
				t.Errorf("%d: %s%s", got.code, got.out, got.errors)
			}
			for _, bad := range []string{`plan`, `plan=pro`, `=1`, `a..b=1`, `plan="` + strings.Repeat("x", 9000) +
				`"`} {
				if got := set("set", ada, bad); got.code == 0 {
					t.Errorf("%.20s is accepted", bad)
				}
			}
			if got := set("set", ada, `a=1`, `a.b=2`); got.code == 0 || !strings.Contains(got.errors, "twice") {
				t.Errorf("%d: %s", got.code, got.errors)
			}
			if got := set("set", ada); !strings.Contains(got.out, `"version": 3`) {
				t.Errorf("%s%s", got.out, got.errors)
			}
		})
	}
}
