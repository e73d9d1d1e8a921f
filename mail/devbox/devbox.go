// Package devbox is the development mailbox: mails stay in a folder, one file
// each, instead of being sent. Several processes can write and read the same
// folder. It does not know who looks at the mails; they hold working tokens, so
// only the owner of the folder can.
package devbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
)

const (
	maxKept = 200
	suffix  = ".json"
)

// A Box is a mailbox in a folder. Make one with Open; it is safe for concurrent
// use.
type Box struct {
	dir      string
	renderer *mail.Renderer
}

var _ watchword.Mailer = (*Box)(nil)

// Open makes the folder if it is missing, and shuts it to everybody else.
func Open(dir string, r *mail.Renderer) (*Box, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the development mailbox: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the development mailbox: %w", err)
	}
	return &Box{dir: dir, renderer: r}, nil
}

// Send puts a mail into the box; one with the same ID is replaced. The newest
// 200 are kept.
func (b *Box) Send(_ context.Context, m watchword.Message) error {
	words, err := b.renderer.Render(m)
	if err != nil {
		return err
	}
	if !isID(m.ID) {
		return fmt.Errorf("keep mail: %q is no name of a mail", m.ID)
	}
	content, err := json.MarshalIndent(watchword.StoredMail{
		ID:      m.ID,
		At:      time.Now().UTC().Truncate(time.Millisecond),
		To:      m.To,
		Kind:    m.Kind,
		Subject: words.Subject,
		Text:    words.Text,
		HTML:    words.HTML,
		Link:    words.Link,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	if err := replaceFile(b.path(m.ID), content); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	return b.dropOldest()
}

// Mails returns all mails, the newest first: their IDs are UUIDs of version 7,
// whose order is that of time.
func (b *Box) Mails() ([]watchword.StoredMail, error) {
	ids, err := b.ids()
	if err != nil {
		return nil, err
	}
	mails := make([]watchword.StoredMail, 0, len(ids))
	for _, id := range slices.Backward(ids) {
		m, err := b.Mail(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process has just dropped it
		}
		if err != nil {
			return nil, err
		}
		mails = append(mails, m)
	}
	return mails, nil
}

// Mail returns one mail, or fs.ErrNotExist. The id may be anybody's input.
func (b *Box) Mail(id string) (watchword.StoredMail, error) {
	if !isID(id) {
		return watchword.StoredMail{}, fmt.Errorf("read mail: %w", fs.ErrNotExist)
	}
	content, err := os.ReadFile(b.path(id))
	if err != nil {
		return watchword.StoredMail{}, fmt.Errorf("read mail: %w", err)
	}
	var m watchword.StoredMail
	if err := json.Unmarshal(content, &m); err != nil {
		return watchword.StoredMail{}, fmt.Errorf("read mail %s: %w", id, err)
	}
	return m, nil
}

func (b *Box) path(id string) string { return filepath.Join(b.dir, id+suffix) }

// isID keeps an ID from leading out of the folder.
func isID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

// ids are those in the box, the oldest first.
func (b *Box) ids() ([]string, error) {
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("read the development mailbox: %w", err)
	}
	var ids []string
	for _, f := range files {
		if id, ours := strings.CutSuffix(f.Name(), suffix); ours {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (b *Box) dropOldest() error {
	ids, err := b.ids()
	if err != nil {
		return err
	}
	for _, id := range ids[:max(len(ids)-maxKept, 0)] {
		if err := os.Remove(b.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop old mail: %w", err)
		}
	}
	return nil
}

// replaceFile writes a file that nobody sees half of, or can read but its owner.
func replaceFile(path string, content []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".part-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) //nolint:errcheck // it is gone unless something failed
	_, err = part.Write(content)
	if err := errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}
