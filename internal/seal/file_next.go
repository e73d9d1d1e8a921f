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

// CreateNext creates the key that will replace the master key in the file at path. It overwrites the new key of an
// interrupted replacement. The new file has the same owner as the file at path.
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

// LoadNext reads the key that CreateNext created for path. The error is fs.ErrNotExist if there is no such key.
func LoadNext(path string) ([]byte, error) { return load(nextOf(path)) }

// KeepOld adds a second name to the file of the master key and returns this name. Under the second name, the old key
// remains after Promote, because earlier backups need it.
func KeepOld(path string, at time.Time) (kept string, err error) {
	kept = path + ".until-" + at.UTC().Format("20060102T150405Z")
	if err := os.Link(path, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the old master key: %w", err)
	}
	return kept, syncFolder(filepath.Dir(path))
}

// Promote renames the file that CreateNext created to path, which replaces the master key. It returns no error if
// another process has already renamed the file.
func Promote(path string) error {
	if err := os.Rename(nextOf(path), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the master key: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// Finish completes an interrupted replacement of the key in a file, and returns the key that is valid now. checkKey
// reports whether a key opens the sealed secrets. If checkKey confirms neither the old key nor the new one, Finish
// returns master without an error. The next operation that uses master then fails with the reason.
func Finish(path string, master []byte, checkKey func(key []byte) (bool, error)) ([]byte, error) {
	next, err := LoadNext(path)
	if errors.Is(err, fs.ErrNotExist) {
		return master, nil
	}
	if err != nil {
		return nil, err
	}
	if ok, err := checkKey(master); err != nil || ok {
		return master, err
	}
	if ok, err := checkKey(next); err != nil || !ok {
		return master, nil //nolint:nilerr // the next use of master fails with the reason
	}
	return next, Promote(path)
}
