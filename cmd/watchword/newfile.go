package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A newFile is written to a temporary file, synced, and then linked to its path. A reader
// therefore never sees an incomplete file, and an existing file is never replaced. Only the
// owner can read it (mode 0600), because it may contain password hashes.
type newFile struct {
	*os.File
	path string
}

// createFile refuses an existing path at once, because the command may run for an hour before
// it calls publish. The temporary file is in the same directory, because a link can't cross
// file systems. If the directory is not writable or the disk is full, createFile or publish
// returns an error, and the path does not exist.
func createFile(path string) (*newFile, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, fileExistsError(path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return nil, fileError(path, err)
	}
	return &newFile{file, path}, nil
}

func fileExistsError(path string) error {
	return fmt.Errorf("%s already exists and is not overwritten. Write another name, or remove it", path)
}

// publish syncs the file and links it to its path. It fails if the path exists. It uses a hard
// link, because a rename would replace an existing file. After an error, the temporary file is
// removed and the path is unchanged. Sync reports a full disk if no earlier write did. The
// directory is not synced. A crash right after publish can lose the name, and the operator can
// repeat the command.
func (f *newFile) publish() error {
	defer f.removeTemporary()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fileError(f.path, err)
	}
	err := os.Link(f.Name(), f.path) // fails if the path exists
	if errors.Is(err, fs.ErrExist) {
		return fileExistsError(f.path)
	}
	if err != nil && isMissing(f.path) { // the file system has no hard links
		// If another program creates the file between the check and the rename, the rename
		// replaces that file. This can't be prevented on such a file system.
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fileError(f.path, err)
	}
	return nil
}

// fileError has the final path instead of the temporary path, which the operator does not know.
func fileError(path string, err error) error {
	var onPath *fs.PathError
	var onLink *os.LinkError
	switch {
	case errors.As(err, &onPath):
		err = onPath.Err
	case errors.As(err, &onLink):
		err = onLink.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// removeTemporary keeps the file at the final path if publish has succeeded. Callers defer
// removeTemporary, so that a failed command leaves no hashes on the disk. Only kill -9 and a
// crash leave the temporary file, whose name begins with a dot.
func (f *newFile) removeTemporary() {
	f.Close()           //nolint:errcheck // publish may have closed the file already
	os.Remove(f.Name()) //nolint:errcheck // publish may have renamed the file
}
