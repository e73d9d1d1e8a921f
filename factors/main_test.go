package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault() // with the default parameters, a third of the time of the tests was hashing
	m.Run()
}
