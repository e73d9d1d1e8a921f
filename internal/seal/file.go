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

// maxFileBytes limits how much of a key file is read. A valid key file is shorter.
const maxFileBytes = 1 << 10

// LoadOrCreate reads the master key from the file, or creates the file (mode 0600) with
// a new key. If several processes start at once, one creates the file and the others read
// it. LoadOrCreate returns an error if group or others have access to the file.
func LoadOrCreate(path string) (key []byte, created bool, err error) {
	key, err = load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = NewMaster()
	err = writeKeyFile(path, key)
	if errors.Is(err, fs.ErrExist) {
		key, err = load(path)
		return key, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("create master key: %w", err)
	}
	return key, true, nil
}

func load(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	defer file.Close()       //nolint:errcheck // closing can't lose data of a file that is only read
	info, err := file.Stat() // not os.Stat: the name may refer to another file by now
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("other users can read the master key %s: run chmod 600 %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	key, err := ParseMaster(string(text))
	if err != nil {
		return nil, fmt.Errorf("read master key %s: %w", path, err)
	}
	return key, nil
}

// writeKeyFile writes the key to a temporary file, syncs it and then links it to path, so that no process reads a
// partial key. It also syncs the folder: if a power failure lost the file name, data sealed with the key could never
// be opened again.
func writeKeyFile(path string, key []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".master-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // the key is complete even if this fails
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
	if err := os.Link(file.Name(), path); err != nil { // fails if path exists
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // closing can't lose data of a folder
	return folder.Sync()
}
