package claimset_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/claimset"
)

// JWT-21
func TestClaimsOfMetadataNeedAPathAndAFreeName(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"@public.plan", "@public.org.id", "@public.ä"} {
		if err := claimset.Check(nil, map[string]string{"plan": value}); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, value := range []string{
		"@public", "@public.", "@public..a", "@public.a.", "@private.note", "@Public.a", "@public.\xff",
	} {
		if claimset.Check(nil, map[string]string{"plan": value}) == nil {
			t.Errorf("%q is accepted", value)
		}
	}
	for _, name := range []string{"sub", "SUB", "Roles", "email", "aCr", "scope"} {
		if claimset.Check(nil, map[string]string{name: "@public.plan"}) == nil {
			t.Errorf("the reserved name %s is accepted", name)
		}
	}
	for _, constant := range []string{"@public.plan", "public.plan"} {
		if claimset.Check(map[string]string{"plan": constant}, map[string]string(nil)) == nil {
			t.Errorf("the constant %s is accepted", constant)
		}
	}
}
