package userimport

import (
	"fmt"
	"os"
)

// An Input is the file of an import. The caller closes it.
type Input struct {
	*os.File
	Name string // for messages
	Size int64  // in bytes; -1: unknown

	rereadable bool           // a regular file, not a pipe
	pipe       *interruptible // set by stopWhenClosed, nil for a regular file
}

// Stdin returns standard input as an Input, which can be read only once.
func Stdin(in *os.File) *Input { return &Input{File: in, Name: "standard input", Size: -1} }

// Open opens a file or a named pipe, such as <(zcat users.csv.gz). Its errors are those of os.Open, or say that the
// path is a folder. A named pipe can be read only once. The import then checks and imports in one pass.
func Open(path string) (*Input, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder. Write the path of a file", path)
	}
	if err != nil {
		file.Close() //nolint:errcheck // no data was read or written
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return &Input{File: file, Name: path, Size: -1}, nil
	}
	return &Input{File: file, Name: path, Size: info.Size(), rereadable: true}, nil
}

// stopWhenClosed makes Read return when stopCh is closed, even while Read waits for a silent pipe. It does not affect a
// regular file, because reading a regular file never blocks.
func (in *Input) stopWhenClosed(stopCh <-chan struct{}) {
	if !in.rereadable && in.pipe == nil {
		in.pipe = &interruptible{in: in.File, stopCh: stopCh}
	}
}

func (in *Input) Read(p []byte) (int, error) {
	if in.pipe != nil {
		return in.pipe.Read(p)
	}
	return in.File.Read(p)
}

// truncated reports whether reading stopped before the end. The last account may then be incomplete.
func (in *Input) truncated() bool { return in.pipe != nil && in.pipe.truncated }

// explainError adds the name of the input to a read error. After a stop it returns ErrStopped instead, because the
// stop has caused the read error.
func (in *Input) explainError(err error) error {
	if in.truncated() {
		return ErrStopped
	}
	return fmt.Errorf("%s: %w", in.Name, err)
}
