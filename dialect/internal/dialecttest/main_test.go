package dialecttest_test

import (
	"os"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// The tests compute thousands of hashes with cheap parameters. No test depends on the cost of a hash.
func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	os.Exit(m.Run())
}
