// Package devbox is the development mailbox. Instead of sending mails, it stores each mail as a file in a folder.
// Several processes can use the same folder. Mails contain valid tokens, so only the owner of the folder can read
// them.
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

// A Box is a mailbox in a folder. Create one with Open. It is safe for concurrent use.
type Box struct {
	dir      string
	renderer *mail.Renderer
}

var _ watchword.Mailer = (*Box)(nil)

// Open creates the folder if it is missing, and removes access for group and others.
func Open(dir string, r *mail.Renderer) (*Box, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the development mailbox: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the development mailbox: %w", err)
	}
	return &Box{dir: dir, renderer: r}, nil
}

// Send stores a mail. If a mail with the same ID exists, Send replaces it. The box keeps the newest 200 mails.
func (b *Box) Send(_ context.Context, m watchword.Message) error {
	words, err := b.renderer.Render(m)
	if err != nil {
		return err
	}
	if !isSafeFileName(m.ID) {
		return fmt.Errorf("keep mail: %q is no name of a mail", m.ID)
	}
	content, err := json.MarshalIndent(watchword.StoredMail{
		ID:      m.ID,
		At:      time.Now().UTC().Truncate(time.Millisecond),
		To:      m.To,
		Kind:    m.Kind,
		Subject: words.Subject,
		Text:    words.Text,
		HTML:    words.Document(),
		Link:    words.Link,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	if err := replaceFile(b.path(m.ID), content); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	return b.deleteOldest()
}

// Mails returns all mails, newest first. IDs are UUIDs of version 7, which sort by time.
func (b *Box) Mails() ([]watchword.StoredMail, error) {
	ids, err := b.idsOldestFirst()
	if err != nil {
		return nil, err
	}
	mails := make([]watchword.StoredMail, 0, len(ids))
	for _, id := range slices.Backward(ids) {
		m, err := b.readMail(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process has deleted it
		}
		if err != nil {
			return nil, err
		}
		mails = append(mails, m)
	}
	return mails, nil
}

// readMail returns an error that wraps fs.ErrNotExist if the mail does not exist.
func (b *Box) readMail(id string) (watchword.StoredMail, error) {
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

// A safe name can't refer to a file outside the folder.
func isSafeFileName(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

func (b *Box) idsOldestFirst() ([]string, error) {
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("read the development mailbox: %w", err)
	}
	var ids []string
	for _, f := range files {
		if id, ours := strings.CutSuffix(f.Name(), suffix); ours && isSafeFileName(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (b *Box) deleteOldest() error {
	ids, err := b.idsOldestFirst()
	if err != nil {
		return err
	}
	for _, id := range ids[:max(len(ids)-maxKept, 0)] {
		if err := os.Remove(b.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete old mail: %w", err)
		}
	}
	return nil
}

// replaceFile writes to a temporary file and then renames it, so that readers never see a partial file. Only the
// owner can read the file.
func replaceFile(path string, content []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".part-*") // CreateTemp uses mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) //nolint:errcheck // no effect after the rename
	_, err = part.Write(content)
	if err := errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}
