package userfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// What is wrong with a line whatever its format is.
const (
	tooLong = "longer than 1 MiB"
	notUTF8 = "not UTF-8. Was the file saved as Latin-1? Try: iconv -f latin1 -t utf-8"
)

// lines reads line by line and keeps no more than MaxAccount of one.
type lines struct {
	in   *bufio.Reader
	n    int // of the line that was read last
	text []byte
}

// next returns a line without its end, good until the next one is read, and
// whether it was too long, of which the rest was passed over.
func (l *lines) next() (text []byte, long bool, err error) {
	l.text = l.text[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if room := MaxAccount - len(l.text); len(part) > room {
			part, long = part[:room], true
		}
		l.text = append(l.text, part...)
		switch {
		case err == nil:
			l.n++
			return withoutEnd(l.text), long, nil
		case errors.Is(err, io.EOF):
			if len(l.text) == 0 {
				return nil, false, io.EOF
			}
			l.n++
			return withoutEnd(l.text), long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

func withoutEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// endsInReturns reports whether the first line ends with a carriage return and
// nothing else, as in Excel for the Mac. One within quotation marks ends no line.
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

// returns reads carriage returns as line ends.
type returns struct{ in io.Reader }

func (r returns) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
