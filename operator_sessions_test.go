package watchword_test

import (
	"fmt"
	"testing"

	"github.com/watchword-auth/watchword"
)

// EndEverySession must end the sessions of all users. Operators call it after they have restored a backup, because
// superseded refresh tokens can then count as the newest tokens again.
func TestEndEverySessionEndsTheSessionsOfAllUsers(t *testing.T) {
	t.Parallel()
	r := startEngine(t, func(o *watchword.Options) { o.Limits = watchword.Unlimited() })
	var in []*watchword.SignIn
	for n := range 5 {
		email := fmt.Sprintf("user%d@example.com", n)
		in = append(in, r.signUp(t, email), r.login(t, email, phone))
	}
	must(t, r.Logout(t.Context(), in[0].RefreshToken, "", laptop))
	n, err := r.Operator().EndEverySession(t.Context())
	if n != 9 || err != nil {
		t.Errorf("ended %d, %v", n, err)
	}
	for _, one := range in {
		_, err := r.Refresh(t.Context(), one.RefreshToken, laptop)
		wantCode(t, err, watchword.CodeSessionEnded)
		_, err = r.Authenticate(t.Context(), one.AccessToken)
		wantCode(t, err, watchword.CodeSessionEnded)
	}
	again := r.login(t, "user1@example.com", laptop)
	r.authenticate(t, again)
}
