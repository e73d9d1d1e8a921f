package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The functions of this file replace the master key in a file. The new key is in a second file
// until everything is sealed under it. That file is then renamed over the first. After a crash in
// between, one of the two keys opens the sealed values.

func nextOf(path string) string { return path + ".new" }

// Create creates a master key in a new file (mode 0600). It fails if the file exists.
func Create(path string) ([]byte, error) {
	key := NewMaster()
	if err := create(path, key); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	return key, nil
}

// CreateNext creates the successor of the master key of a file. It replaces a successor that
// an interrupted replacement has left. The new file has the owner of the old one.
func CreateNext(path string) ([]byte, error) {
	if err := os.Remove(nextOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	key, err := Create(nextOf(path))
	if err != nil {
		return nil, err
	}
	return key, keepOwner(path, nextOf(path))
}

// LoadNext reads the successor. The error is fs.ErrNotExist if the file is missing.
func LoadNext(path string) ([]byte, error) { return load(nextOf(path)) }

// KeepOld keeps the master key under another name and returns the name. Earlier backups need the key.
func KeepOld(path string, at time.Time) (kept string, err error) {
	kept = path + ".until-" + at.UTC().Format("20060102T150405Z")
	if err := os.Link(path, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the old master key: %w", err)
	}
	return kept, syncFolder(filepath.Dir(path))
}

// Promote gives the successor the name of the master key. Another process may have
// done so already.
func Promote(path string) error {
	if err := os.Rename(nextOf(path), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the master key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// Finish completes an interrupted replacement of the key in a file, and returns the key that is valid now. opens
// reports whether a key opens the sealed values. If neither key opens them, Finish returns master, and using
// master returns an error with the reason.
func Finish(path string, master []byte, opens func(key []byte) (bool, error)) ([]byte, error) {
	next, err := LoadNext(path)
	if errors.Is(err, fs.ErrNotExist) {
		return master, nil
	}
	if err != nil {
		return nil, err
	}
	if ok, err := opens(master); err != nil || ok {
		return master, err
	}
	if ok, err := opens(next); err != nil || !ok {
		return master, nil //nolint:nilerr // see above
	}
	return next, Promote(path)
}
