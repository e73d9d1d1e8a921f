package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A terminal is a pseudo-terminal (pty(7)). A program writes to one end, and the test reads the other end.
type terminal struct {
	program *os.File
	output  chan []byte // sent when the program has ended
}

func newTerminal() (*terminal, error) {
	reader, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(int(reader.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(reader.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	program, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t := &terminal{program, make(chan []byte, 1)}
	go func() {
		defer reader.Close()
		text, _ := io.ReadAll(reader) // an error is expected after all writers have closed
		t.output <- bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	}()
	return t, nil
}
