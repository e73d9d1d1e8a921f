package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/passhash"
)

func TestMain(m *testing.M) {
	passhash.LowestParamsByDefault() // with the default parameters, hashing took a third of the time
	m.Run()
}
