package watchword_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func TestFailedMailIsRetriedAndFinallyAbandoned(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.post.failWith(errors.New("the mail server is asleep"))
	in := r.signUp(t, "ada@example.com")
	var first time.Duration
	for attempt := 1; ; attempt++ {
		r.deliverMail(t)
		mails, err := r.Operator().Mails(t.Context(), 10)
		must(t, err)
		m := mails[0]
		if m.Attempts != attempt || !strings.Contains(m.LastError, "asleep") {
			t.Fatalf("after attempt %d: %+v", attempt, m)
		}
		if !m.GivenUpAt.IsZero() {
			if attempt < 5 || r.clock.Now().Sub(m.CreatedAt) < 24*time.Hour {
				t.Errorf("abandoned after %d attempts and %s", attempt, r.clock.Now().Sub(m.CreatedAt))
			}
			break
		}
		wait := m.NextAt.Sub(r.clock.Now())
		if wait < first {
			t.Errorf("attempt %d waits %s, less than the previous one", attempt, wait)
		}
		first = wait
		r.clock.advance(wait)
	}
	stats, err := r.Stats(t.Context())
	must(t, err)
	if stats.MailGivenUp != 1 || stats.MailWaiting != 0 || stats.MailFailed == 0 {
		t.Errorf("stats: %+v", stats)
	}

	// The operator repairs the mail server and retries the mail.
	r.post.failWith(nil)
	n, err := r.Operator().RetryMail(t.Context(), "")
	if err != nil || n != 1 {
		t.Fatalf("retried %d, %v", n, err)
	}
	r.deliverMail(t)
	// The access token from the sign-up has expired. The verification therefore needs the password.
	if in, err = r.VerifyEmail(t.Context(), watchword.MailLinkRequest{
		Token: r.post.lastMail(t, watchword.MailVerify).Token, Presented: []watchword.Secret{in.AccessToken},
		Password: goodPassword, Client: laptop,
	}); err != nil || in == nil {
		t.Errorf("got %v, %v", in, err)
	}
}

func TestMailTokenIsRedactedAndMailIsSentOnce(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	r.deliverMail(t)
	token := r.post.lastMail(t, watchword.MailVerify).Token
	if got := fmt.Sprint(token); strings.Contains(got, string(token)) {
		t.Error("a token prints its value")
	}
	if r.post.countMails(watchword.MailVerify) != 1 {
		t.Error("the mail was not sent exactly once")
	}
}

func TestMailForADeletedAccountIsNotSent(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := r.signUp(t, "ada@example.com").User
	must(t, r.Operator().DeleteUser(t.Context(), user.ID))
	must(t, r.ForgotPassword(t.Context(), "ada@example.com", "", laptop))
	r.deliverMail(t)
	if n := r.post.countMails(watchword.MailVerify) + r.post.countMails(watchword.MailReset); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}
