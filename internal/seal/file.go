package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile is more than a key and the white space around it take up, in bytes.
const maxFile = 1 << 10

// LoadOrCreate reads the master key of a file, or makes one (mode 0600) if there
// is none. Of several processes that start at once one makes it and the others
// read it. A file that others may read is refused.
func LoadOrCreate(path string) (key []byte, created bool, err error) {
	key, err = load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = NewMaster()
	err = create(path, key)
	if errors.Is(err, fs.ErrExist) {
		key, err = load(path)
		return key, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("make master key: %w", err)
	}
	return key, true, nil
}

func load(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	defer file.Close()       //nolint:errcheck // only read
	info, err := file.Stat() // of what is read, whatever has that name by now
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the master key %s can be read by others: chmod 600 %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	key, err := ParseMaster(string(text))
	if err != nil {
		return nil, fmt.Errorf("read master key %s: %w", path, err)
	}
	return key, nil
}

// create writes the file whole before it has its name, so that nobody reads half
// a key, and sees to it that the name outlives a loss of power: what is sealed
// from now on can't be opened without this key.
func create(path string, key []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".master-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // a leftover, at worst
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil { // fails if the name is taken
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // only read
	return folder.Sync()
}
