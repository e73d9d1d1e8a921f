package lesson_test

import (
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/dialect/internal/dialecttest"
)

// The first version of the lesson's page sends its first refresh token at every refresh. The server must accept this
// token until its successor is used (docs/migrate.md).
func TestOldRefreshTokenWorksWhileItsSuccessorIsUnused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now().Truncate(time.Second)
	advance := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	s := dialecttest.Start(t, func(o *watchword.Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	send := func(c *dialecttest.Client, name, token string, status int) {
		t.Helper()
		c.Run(exchange{Name: name, Request: "POST /token", Body: `{"token":"` + token + `"}`, Status: status, Answer: "*"})
	}
	signIn := func() (*dialecttest.Client, string) {
		c := s.Client(t)
		c.Run(exchange{Request: "POST /login", Body: login, Status: 200, Answer: signedIn})
		return c, c.Vars["refresh"]
	}
	renewed := `{"accessToken":"*","refreshToken":"{second}"}`
	s.Client(t).Run(exchange{Request: "POST /register", Body: register, Status: 201, Answer: "*"})

	c, first := signIn()
	again := exchange{Request: "POST /token", Body: `{"token":"` + first + `"}`, Status: 200, Answer: renewed}
	c.Run(again)
	advance(9 * time.Second)
	c.Run(again) // within the grace period, the same successor
	for range 3 {
		advance(16 * time.Minute)
		c.Run(again) // also after the grace period, because the successor was never used
	}
	send(c, "the successor", c.Vars["second"], 200)
	advance(9 * time.Second)
	send(c, "the first within the grace period", first, 200)
	advance(2 * time.Second)
	send(c, "the first after the grace period", first, 403)
	send(c, "the session has ended", c.Vars["second"], 403)

	c, first = signIn()
	send(c, "the first", first, 200)
	advance(11 * time.Second)
	c.Run(exchange{Name: "another browser", Request: "POST /token", Body: `{"token":"` + first + `"}`, Status: 403,
		Headers: []string{"User-Agent", "another"}, Answer: "*"})
	send(c, "the session has ended", first, 403)
}
