package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A newFile is written whole before it has its name, and never takes the place of
// another. Only its owner may read it.
type newFile struct {
	*os.File
	path string
}

// createFile begins one. It refuses a name that is taken now, so that nobody finds
// out after an hour.
func createFile(path string) (*newFile, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, fileTaken(path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return nil, fileFailed(path, err)
	}
	return &newFile{file, path}, nil
}

func fileTaken(path string) error {
	return fmt.Errorf("%s is there already, and is not overwritten. Write another name, or remove it", path)
}

// keep gives the file its name.
func (f *newFile) keep() error {
	defer f.drop()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fileFailed(f.path, err)
	}
	err := os.Link(f.Name(), f.path) // fails if the name is taken
	if errors.Is(err, fs.ErrExist) {
		return fileTaken(f.path)
	}
	if err != nil && missing(f.path) { // a file system without links
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fileFailed(f.path, err)
	}
	return nil
}

// fileFailed says what went wrong with the name that the file is to have.
func fileFailed(path string, err error) error {
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

// drop leaves nothing behind, unless it was kept.
func (f *newFile) drop() {
	f.Close()           //nolint:errcheck // it may be closed
	os.Remove(f.Name()) //nolint:errcheck // it may have its other name
}
