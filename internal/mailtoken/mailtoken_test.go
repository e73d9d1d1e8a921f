package mailtoken_test

import (
	"testing"

	"github.com/watchword-auth/watchword/internal/mailtoken"
)

// The values are those of the first release. A change would make the links in sent mails invalid.
func TestTokensStayAsTheyWere(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of 32 bytes for tests..")
	token := mailtoken.Of(secret, "01890a5d-ac96-774b-bcce-b302099a8057", 1)
	const want = "wwm_umW9WWqW5llGVuWkuRe-rp1ahnL9dfdc0VXmd1Mv7Uw"
	const hash = "ae1c3006510db8300948addde859c50b458fa4e36ae7f2c13bde9370e1563483"
	if token != want || mailtoken.Hash(token) != hash {
		t.Errorf("%s %s", token, mailtoken.Hash(token))
	}
	if token == mailtoken.Of(secret, "01890a5d-ac96-774b-bcce-b302099a8057", 2) {
		t.Error("two attempts have one token")
	}
}
