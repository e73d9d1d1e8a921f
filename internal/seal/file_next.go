package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// This file contains the functions that replace a master key. The new key stays in a second file until all secrets
// are sealed under it. Then the second file is renamed to the name of the first. After a crash during a replacement,
// one of the two keys opens the sealed secrets.

func nextOf(path string) string { return path + ".new" }

// Create creates a master key in a new file (mode 0600). It fails if the file exists.
func Create(path string) ([]byte, error) {
	key := NewMaster()
	if err := writeKeyFile(path, key); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	return key, nil
}

// CreateNext creates the successor of the master key of a file. It overwrites the successor of an interrupted
// replacement. The new file has the same owner as the file at path.
func CreateNext(path string) ([]byte, error) {
	if err := os.Remove(nextOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	key, err := Create(nextOf(path))
	if err != nil {
		return nil, err
	}
	return key, copyOwner(path, nextOf(path))
}

// LoadNext reads the successor of the master key of a file. The error is fs.ErrNotExist if there is no successor.
func LoadNext(path string) ([]byte, error) { return load(nextOf(path)) }

// KeepOld gives the file of the master key a second name, because earlier backups need the key. It returns this name.
func KeepOld(path string, at time.Time) (kept string, err error) {
	kept = path + ".until-" + at.UTC().Format("20060102T150405Z")
	if err := os.Link(path, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the old master key: %w", err)
	}
	return kept, syncFolder(filepath.Dir(path))
}

// Promote renames the successor to the name of the master key. It returns no error if another process has already
// done so.
func Promote(path string) error {
	if err := os.Rename(nextOf(path), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the master key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// Finish completes an interrupted replacement of the key in a file, and returns the key that is valid now. The
// argument opens is a function that reports whether a key opens the sealed secrets. If the new key can't be confirmed
// either, Finish returns the argument master without an error. The next operation that uses this key then fails with
// the reason.
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
		return master, nil //nolint:nilerr // the next use of master fails with the reason
	}
	return next, Promote(path)
}
