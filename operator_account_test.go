package watchword_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
)

func TestEventsOfOperatorsCarryTheirName(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := startEngine(t, func(o *watchword.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	in := r.signUp(t, "ada@example.com")
	id, grace := in.User.ID, r.Operator().As("grace")
	must(t, grace.Rename(t.Context(), id, "Ada L"))
	must(t, grace.MarkVerified(t.Context(), id))
	must(t, grace.ClearLimits(t.Context(), id))
	must(t, grace.SendReset(t.Context(), id))
	r.deliverMail(t)
	_, err := grace.SetRoles(t.Context(), id, []string{"staff"})
	must(t, err)
	session := r.login(t, "ada@example.com", phone).Session.ID
	must(t, grace.EndUserSession(t.Context(), id, session))
	_, err = grace.EndUserSessions(t.Context(), id)
	must(t, err)
	must(t, grace.ChangeEmail(t.Context(), id, "ada@example.org"))
	must(t, grace.DisableUser(t.Context(), id))
	must(t, grace.EnableUser(t.Context(), id))
	for _, kind := range []watchword.EventKind{
		"link_requested", "renamed", watchword.EventEmailVerified,
		"limits_cleared", "password_reset_requested", watchword.EventRolesChanged,
		watchword.EventSessionEnded, watchword.EventLogoutAll, "email_changed",
		watchword.EventDisabled, "account_enabled",
	} {
		if event := newestEvent(t, r, id, kind); event.Operator != "grace" || event.Address != "" {
			t.Errorf("%s is by %q from %q", kind, event.Operator, event.Address)
		}
	}
	if event := newestEvent(t, r, id, watchword.EventLogin); event.Operator != "" {
		t.Errorf("a sign-in is by the operator %q", event.Operator)
	}
	must(t, grace.DeleteUser(t.Context(), id))
	if event := newestEvent(t, r, id, watchword.EventDeleted); event.Operator != "grace" {
		t.Errorf("the deletion is by %q", event.Operator)
	}
	if !strings.Contains(log.String(), "event=account_deleted") || !strings.Contains(log.String(), "operator=grace") {
		t.Errorf("the log does not name the operator:\n%s", log.String())
	}
}

// These operations are not about one account. Their events must have no user.
func TestOperationsWithoutAnAccountAreEvents(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := startEngine(t, func(o *watchword.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	grace := r.Operator().As("grace")
	if n, err := grace.RetryMail(t.Context(), ""); n != 0 || err != nil {
		t.Errorf("an empty outbox: %d, %v", n, err)
	}
	if events, err := grace.UserEvents(t.Context(), "", 10); err != nil || len(events) != 0 {
		t.Errorf("nothing was changed, and there are events: %v, %v", events, err)
	}
	r.signUp(t, "ada@example.com")
	n, err := grace.RetryMail(t.Context(), "")
	must(t, err)
	_, err = grace.RotateKeys(t.Context(), watchword.KeyRefresh)
	must(t, err)
	_, err = grace.EndEverySession(t.Context())
	must(t, err)
	must(t, grace.Reseal(t.Context(), bytes.Repeat([]byte{7}, 32)))
	for kind, detail := range map[watchword.EventKind]string{
		"mail_retried": fmt.Sprintf("mails: %d", n), "keys_rotated": "refresh",
		watchword.EventLogoutAll: "every user, by an operator: 1", "master_key_replaced": "",
	} {
		if event := newestEvent(t, r, "", kind); event.Operator != "grace" || event.Detail != detail {
			t.Errorf("%s is by %q: %q, want %q", kind, event.Operator, event.Detail, detail)
		}
		if !strings.Contains(log.String(), "event="+string(kind)) {
			t.Errorf("the log has no %s", kind)
		}
	}
}

// After the operator's change, the address is unproven, and earlier mailed links no longer work.
func TestOperatorChangesAnAddress(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in, other := r.signUp(t, "ada@example.com"), r.signUp(t, "bob@example.com")
	id := in.User.ID
	old := r.requestReset(t, "ada@example.com")
	wantCode(t, r.Operator().ChangeEmail(t.Context(), id, string(other.User.Email)), watchword.CodeEmailTaken)
	wantCode(t, r.Operator().ChangeEmail(t.Context(), id, "ada@example.com"), watchword.CodeValidationFailed)
	wantCode(t, r.Operator().ChangeEmail(t.Context(), id, "nobody"), watchword.CodeValidationFailed)
	wantCode(t, r.Operator().ChangeEmail(t.Context(), watchword.UserID(other.Session.ID), "eve@example.com"),
		watchword.CodeNotFound)
	must(t, r.Operator().MarkVerified(t.Context(), id))
	r.deliverMail(t)
	must(t, r.Operator().ChangeEmail(t.Context(), id, "Ada@Example.org"))
	user, err := r.Operator().FindUserByID(t.Context(), id)
	must(t, err)
	if user.Email != "ada@example.org" || user.Verified() {
		t.Errorf("the account has %s, verified %t", user.Email, user.Verified())
	}
	r.authenticate(t, in)
	wantCode(t, r.ResetPassword(t.Context(), old, "eight purple otters", laptop), watchword.CodeMailTokenInvalid)
	r.deliverMail(t)
	if mail := r.post.lastMail(t, watchword.MailVerify); mail.To != user.Email {
		t.Errorf("the link was mailed to %s", mail.To)
	}
	notice := r.post.lastMail(t, watchword.MailAddressReplaced)
	if notice.To != "ada@example.com" || notice.Token != "" || notice.NewEmail != "" {
		t.Errorf("the notice to the previous address is %+v", notice)
	}
	// An address that was never verified may belong to a stranger, so it gets no notice.
	must(t, r.Operator().ChangeEmail(t.Context(), id, "ada@example.net"))
	r.deliverMail(t)
	if again := r.post.lastMail(t, watchword.MailAddressReplaced); again.ID != notice.ID {
		t.Errorf("an unverified address got a notice: %s", again.To)
	}
	must(t, r.Operator().SendVerification(t.Context(), id))
	must(t, r.Operator().MarkVerified(t.Context(), id))
	wantCode(t, r.Operator().SendVerification(t.Context(), id), watchword.CodeValidationFailed)
}

func TestLinkForADisabledAccountIsRefused(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	user := r.signUp(t, "ada@example.com").User
	r.deliverMail(t)
	must(t, r.Operator().DisableUser(t.Context(), user.ID))
	wantCode(t, r.Operator().SendReset(t.Context(), user.ID), watchword.CodeValidationFailed)
	wantCode(t, r.Operator().SendVerification(t.Context(), user.ID), watchword.CodeValidationFailed)
	mails, err := r.Operator().Mails(t.Context(), 10)
	must(t, err)
	if len(mails) != 0 {
		t.Errorf("a refused mail is in the outbox: %+v", mails)
	}
	must(t, r.Operator().EnableUser(t.Context(), user.ID))
	must(t, r.Operator().SendReset(t.Context(), user.ID))
}

func TestClearLimitsLetsTheOwnerInAtOnce(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	in := r.signUp(t, "ada@example.com")
	stranger := watchword.Client{Address: phone.Address}
	limit := func() {
		t.Helper()
		for range 10 {
			wantCode(t, r.loginFrom(t, "ada@example.com", "wrong otters", stranger), watchword.CodeInvalidCredentials)
		}
		wantCode(t, r.loginFrom(t, "ada@example.com", goodPassword, stranger), watchword.CodeRateLimited)
	}
	limit()
	must(t, r.Operator().ClearLimits(t.Context(), in.User.ID))
	must(t, r.loginFrom(t, "ada@example.com", goodPassword, stranger))
	limit() // ClearLimits must set the counter to zero, not to a negative value
	for range 4 {
		must(t, r.Operator().ClearLimits(t.Context(), in.User.ID))
	}
	limit()
	r.clock.advance(time.Second)
	wantCode(t, r.Operator().ClearLimits(t.Context(), watchword.UserID(in.Session.ID)), watchword.CodeNotFound)
}

func TestOperatorFindsTheAccountOfASessionAndTheEventsOfARequest(t *testing.T) {
	t.Parallel()
	r := startEngine(t, nil)
	r.signUp(t, "ada@example.com")
	client := laptop
	client.RequestID = "request-1"
	in := r.login(t, "ada@example.com", client)
	for range 2 { // first while the session is alive, then after its end
		user, err := r.Operator().UserOfSession(t.Context(), in.Session.ID)
		if err != nil || user.ID != in.User.ID {
			t.Errorf("the session belongs to %q, %v", user.ID, err)
		}
		_, err = r.Operator().EndUserSessions(t.Context(), in.User.ID)
		must(t, err)
	}
	_, err := r.Operator().UserOfSession(t.Context(), "none")
	wantCode(t, err, watchword.CodeNotFound)
	events, err := r.Operator().RequestEvents(t.Context(), "request-1", 10)
	if err != nil || len(events) != 1 || events[0].Kind != watchword.EventLogin ||
		events[0].SessionID != in.Session.ID {
		t.Errorf("events of the request: %v, %v", events, err)
	}
	if events, err := r.Operator().RequestEvents(t.Context(), "", 10); err != nil || len(events) != 0 {
		t.Errorf("events without a request: %v, %v", events, err)
	}
}
