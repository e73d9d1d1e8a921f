package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault() // with the default, a third of the time was hashing
	m.Run()
}
