package userfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Problems of a line in any format.
const (
	tooLong = "longer than 1 MiB"
	notUTF8 = "not UTF-8. Was the file saved as Latin-1? Try: iconv -f latin1 -t utf-8"
)

// A lineReader keeps at most MaxAccount bytes of a line.
type lineReader struct {
	in         *bufio.Reader
	lineNumber int // of the last line read
	text       []byte
}

// nextText returns a line without its end. The slice is valid until the next call. long reports that the line was cut
// at MaxAccount and its rest was skipped.
func (l *lineReader) nextText() (text []byte, long bool, err error) {
	l.text = l.text[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if room := MaxAccount - len(l.text); len(part) > room {
			part, long = part[:room], true
		}
		l.text = append(l.text, part...)
		switch {
		case err == nil:
			l.lineNumber++
			return withoutEnd(l.text), long, nil
		case errors.Is(err, io.EOF):
			if len(l.text) == 0 {
				return nil, false, io.EOF
			}
			l.lineNumber++
			return withoutEnd(l.text), long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

func withoutEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// endsInReturns reports whether lines end with only a carriage return, as in files of Excel for the Mac. It looks for
// the first line end outside quotation marks.
func endsInReturns(head []byte) bool {
	quoted := false
	for i, c := range head {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n':
			return false
		case c == '\r':
			return i+1 == len(head) || head[i+1] != '\n' && head[i+1] != '\r' || !bytes.ContainsRune(head, '\n')
		}
	}
	return false
}

// A carriageReturnReader replaces carriage returns with line feeds.
type carriageReturnReader struct{ in io.Reader }

func (r carriageReturnReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
