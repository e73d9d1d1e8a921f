package devbox_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
)

func open(t *testing.T, dir string) *devbox.Box {
	t.Helper()
	r, err := mail.NewRenderer(mail.Options{PublicURL: "http://localhost:8080"})
	if err != nil {
		t.Fatal(err)
	}
	box, err := devbox.Open(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func numberedResetMail(n int, token watchword.Secret) watchword.Message {
	return watchword.Message{
		ID:      fmt.Sprintf("019ab5d2-3c00-7000-8000-%012d", n),
		Kind:    watchword.MailReset,
		To:      "ada@example.com",
		Token:   token,
		Expires: time.Now().Add(15 * time.Minute),
	}
}

func send(t *testing.T, box *devbox.Box, m watchword.Message) {
	t.Helper()
	if err := box.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func mails(t *testing.T, box *devbox.Box) []watchword.StoredMail {
	t.Helper()
	all, err := box.Mails()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMailIsVisibleToOtherProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "mail")
	before := time.Now().Add(-time.Millisecond)
	send(t, open(t, dir), numberedResetMail(1, "wwm_one"))

	other := open(t, dir)
	all := mails(t, other)
	if len(all) != 1 {
		t.Fatalf("got %d mails, want 1", len(all))
	}
	m := all[0]
	if m.ID != numberedResetMail(1, "").ID || m.To != "ada@example.com" || m.Kind != watchword.MailReset ||
		m.Subject != "Choose a new password for localhost" ||
		m.Link != "http://localhost:8080/reset#token=wwm_one" ||
		!strings.Contains(m.Text, m.Link) || !strings.Contains(m.HTML, m.Link) {
		t.Errorf("the mail is incomplete: %+v", m)
	}
	if m.At.Before(before) || m.At.After(time.Now()) || m.At.Location() != time.UTC {
		t.Errorf("stored at %s, want between the start of the test and now, in UTC", m.At)
	}
}

func TestOnlyTheOwnerCanReadTheBox(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	send(t, open(t, dir), numberedResetMail(1, "wwm_one"))
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMailsReturnsNewestFirst(t *testing.T) {
	t.Parallel()
	box := open(t, t.TempDir())
	for _, n := range []int{2, 3, 1} {
		send(t, box, numberedResetMail(n, "wwm_x"))
	}
	all := mails(t, box)
	for i, n := range []int{3, 2, 1} {
		if all[i].ID != numberedResetMail(n, "").ID {
			t.Errorf("mail %d is %s", i, all[i].ID)
		}
	}
}

func TestRetryReplacesTheMail(t *testing.T) {
	t.Parallel()
	box := open(t, t.TempDir())
	send(t, box, numberedResetMail(1, "wwm_first"))
	send(t, box, numberedResetMail(1, "wwm_second"))
	all := mails(t, box)
	if len(all) != 1 || !strings.HasSuffix(all[0].Link, "wwm_second") {
		t.Errorf("got %+v", all)
	}
}

func TestBoxKeepsABoundedNumberOfMails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box := open(t, dir)
	var senders sync.WaitGroup
	for first := range 4 {
		senders.Go(func() {
			for n := first; n < 240; n += 4 {
				if err := box.Send(t.Context(), numberedResetMail(n, "wwm_x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	send(t, box, numberedResetMail(240, "wwm_x"))
	all := mails(t, box)
	if len(all) != 200 || all[0].ID != numberedResetMail(240, "").ID || all[199].ID != numberedResetMail(41, "").ID {
		t.Errorf("%d mails, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 200 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestSendRejectsIDsThatArePaths(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "mail"))
	for _, id := range []string{"../outside", "/etc/passwd", "", ".", "a/b", `..\outside`, "x.json", "a\x00b", "UPPER", strings.Repeat("a", 65)} {
		m := numberedResetMail(1, "wwm_x")
		m.ID = id
		if err := box.Send(t.Context(), m); err == nil {
			t.Errorf("a mail was stored as %q", id)
		}
	}
}

func TestFilesThatAreNotMailsAreSkipped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box := open(t, dir)
	for _, name := range []string{".part-123", "notes.txt", ".json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if all := mails(t, box); len(all) != 0 {
		t.Errorf("got %+v", all)
	}
	if err := box.Send(t.Context(), watchword.Message{ID: "1", Kind: "no-such-kind"}); err == nil {
		t.Error("a mail that cannot be rendered was stored")
	}
}
