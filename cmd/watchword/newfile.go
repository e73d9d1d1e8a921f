package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A newFile is written to a temporary file, synced, and then linked into place. A
// reader therefore never sees half a file, and an existing file is never replaced. Only
// the owner can read it (mode 0600), because it may hold password hashes.
type newFile struct {
	*os.File
	path string
}

// createFile creates the temporary file. It refuses an existing path at once, because the command
// may then run for an hour. The temporary file is in the same directory, because a link can't cross
// file systems. A directory without write permission or a full disk is found here or in keep, and
// then no file has the path.
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

// fileTaken returns the error for a path that exists.
func fileTaken(path string) error {
	return fmt.Errorf("%s already exists and is not overwritten. Write another name, or remove it", path)
}

// keep syncs the file and links it to its path. It fails if the path exists by now. A hard link
// fails for an existing name, which a rename would replace. After an error, the temporary file is
// removed and the path is unchanged. Sync reports a full disk at the latest. The directory is not
// synced: a crash right after keep can lose the name, and the command can be repeated.
func (f *newFile) keep() error {
	defer f.drop()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fileFailed(f.path, err)
	}
	err := os.Link(f.Name(), f.path) // fails if the name is taken
	if errors.Is(err, fs.ErrExist) {
		return fileTaken(f.path)
	}
	if err != nil && missing(f.path) { // the file system has no hard links
		// missing was checked just before. A file that another program creates in between would be
		// replaced. Without hard links, there is no way to exclude that.
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fileFailed(f.path, err)
	}
	return nil
}

// fileFailed returns an error with the final path instead of the temporary one. The operator did
// not choose the temporary name and could not find it.
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

// drop removes the temporary file. After keep it has no effect on the kept file. Callers defer it,
// so that a failed command leaves no hashes on the disk. Only kill -9 and a crash leave the file,
// whose name begins with a dot.
func (f *newFile) drop() {
	f.Close()           //nolint:errcheck // keep may have closed it
	os.Remove(f.Name()) //nolint:errcheck // keep may have renamed it
}
