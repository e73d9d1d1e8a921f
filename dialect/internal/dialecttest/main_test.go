package dialecttest_test

import (
	"os"
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// The tests compute thousands of hashes. None of them is about their cost.
func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault()
	os.Exit(m.Run())
}
