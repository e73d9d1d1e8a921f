package dialecttest_test

import (
	"os"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// The tests compute thousands of hashes, and no test depends on their cost.
func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	os.Exit(m.Run())
}
