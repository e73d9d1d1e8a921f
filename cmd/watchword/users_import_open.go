package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// What an import works on: the file, and the database.

// An importInput is the file.
type importInput struct {
	*os.File
	name  string
	size  int64      // -1: not known
	twice bool       // it can be read again
	pipe  *stoppable // unless it can
}

func (p *program) openInput(path string) (*importInput, error) {
	if path == "-" {
		return &importInput{File: p.in, name: "standard input", size: -1}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.New(plainFileError(err))
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder. Write the path of a file", path)
	}
	if err != nil {
		file.Close() //nolint:errcheck // it was only opened
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe, such as <(zcat users.csv.gz)
		return &importInput{File: file, name: path, size: -1}, nil
	}
	return &importInput{File: file, name: path, size: info.Size(), twice: true}, nil
}

// until says when to wait for the file no longer. A file on a disk needs no waiting.
func (in *importInput) until(done <-chan struct{}) {
	if !in.twice {
		in.pipe = &stoppable{in: in.File, done: done}
	}
}

func (in *importInput) Read(p []byte) (int, error) {
	if in.pipe != nil {
		return in.pipe.Read(p)
	}
	return in.File.Read(p)
}

// cut reports whether the file was given up before its end. What has been read of
// an account is half of it then.
func (in *importInput) cut() bool { return in.pipe != nil && in.pipe.cut }

// failed says of which file an error tells.
func (in *importInput) failed(err error) error {
	if in.cut() {
		return errStopped
	}
	return fmt.Errorf("%s: %w", in.name, err)
}

// open is for a dry run, too. That makes no tables and changes none: where there are
// none yet, it works on a database that is thrown away.
func (c *userImport) open(ctx context.Context, p *program) (*stack, func(), error) {
	throwAway := false
	if c.DryRun {
		var err error
		if throwAway, err = p.noTables(ctx); err != nil {
			return nil, nil, err
		}
	}
	if !throwAway {
		s, err := p.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return s, s.close, nil
	}
	dir, err := os.MkdirTemp("", "watchword-dry-run-")
	if err != nil {
		return nil, nil, err
	}
	p.settings.DataDir, p.settings.Store = dir, "sqlite:"
	s, err := p.open(ctx)
	if err != nil {
		os.RemoveAll(dir) //nolint:errcheck // a leftover, at worst
		return nil, nil, err
	}
	return s, func() { s.close(); os.RemoveAll(dir) }, nil //nolint:errcheck // as above
}

// noTables reports whether the database is yet to be made. One of an older release
// is an error, for it can't be asked.
func (p *program) noTables(ctx context.Context) (bool, error) {
	if err := p.sources.faults(p.settings); err != nil {
		return false, err
	}
	var pending []string
	var err error
	switch {
	case p.settings.onPostgres():
		pending, err = postgres.Status(ctx, string(p.settings.Store))
	case missing(p.settings.databasePath()):
		return true, nil
	default:
		pending, err = sqlite.Status(ctx, p.settings.databasePath())
	}
	if err != nil || len(pending) == 0 {
		return false, err
	}
	if strings.HasPrefix(pending[0], "00001_") {
		return true, nil
	}
	return false, fmt.Errorf("%s is of an older release, and a dry run does not change it. Run `watchword migrate` first", p.settings.databaseName())
}
