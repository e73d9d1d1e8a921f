package main_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail/devbox"
)

// A mailbox reads the development mailbox of a server. Each mail is taken once.
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

// next waits for the next mail of a kind and returns its link.
func (m *mailbox) next(t *testing.T, kind watchword.MailKind) (link string) {
	t.Helper()
	for range 400 {
		mails, err := m.box.Mails()
		if err != nil {
			t.Fatal(err)
		}
		for _, mail := range slices.Backward(mails) { // the oldest first
			if mail.Kind == kind && !slices.Contains(m.seen, mail.ID) {
				m.seen = append(m.seen, mail.ID)
				return mail.Link
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("no mail of kind %s came", kind)
	return ""
}

var fragment = regexp.MustCompile(`#token=([A-Za-z0-9_-]+)$`)

// token returns the token of the next mail of a kind.
func (m *mailbox) token(t *testing.T, kind watchword.MailKind) string {
	t.Helper()
	link := m.next(t, kind)
	found := fragment.FindStringSubmatch(link)
	if found == nil {
		t.Fatalf("the link of the mail %s has no token in its fragment", kind)
	}
	return found[1]
}
