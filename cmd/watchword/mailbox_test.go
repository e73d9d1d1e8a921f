package main_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail/devbox"
)

// A mailbox returns each mail only once.
type mailbox struct {
	box  *devbox.Box
	seen []string
}

func openMailbox(t *testing.T, dir string) *mailbox {
	t.Helper()
	box, err := devbox.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &mailbox{box: box}
}

func (m *mailbox) awaitLink(t *testing.T, kind watchword.MailKind) (link string) {
	t.Helper()
	return m.awaitLinkTo(t, "", kind)
}

// If recipient is "", the mail may have any recipient.
func (m *mailbox) awaitLinkTo(t *testing.T, recipient watchword.Address, kind watchword.MailKind) (link string) {
	t.Helper()
	for range 2400 { // waits at least a minute
		mails, err := m.box.Mails()
		if err != nil {
			t.Fatal(err)
		}
		for _, mail := range slices.Backward(mails) { // Mails lists the newest first
			if mail.Kind == kind && (recipient == "" || mail.To == recipient) && !slices.Contains(m.seen, mail.ID) {
				m.seen = append(m.seen, mail.ID)
				return mail.Link
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("no mail of kind %s came", kind)
	return ""
}

var tokenFragment = regexp.MustCompile(`#token=([A-Za-z0-9_-]+)$`)

func (m *mailbox) awaitToken(t *testing.T, kind watchword.MailKind) string {
	t.Helper()
	return tokenInLink(t, m.awaitLink(t, kind))
}

func tokenInLink(t *testing.T, link string) string {
	t.Helper()
	found := tokenFragment.FindStringSubmatch(link)
	if found == nil {
		t.Fatal("the link of the mail has no token in its fragment")
	}
	return found[1]
}
