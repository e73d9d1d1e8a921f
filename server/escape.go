package server

import (
	"bytes"
)

// net/http responds to a path such as "/a/%ZZ" by itself, with a bare text, and
// closes the connection. Front-ends and people would see that text. Therefore the
// stray percent sign is escaped before net/http reads it, and the request is refused
// by the server's own handlers, in the shape of an API, a page or a dialect.

// A target follows one request line: method, target and protocol, with one space
// between them (RFC 9112, section 3).
type target struct {
	spaces  int
	query   bool   // the target's question mark is behind
	pending []byte // an escape of the path that is not complete yet
	bad     bool   // a percent sign of the path was escaped
}

func (t *target) follow(part []byte) {
	if t.spaces == 1 && !t.query {
		path, _, ended := bytes.Cut(part, []byte(" "))
		t.query = bytes.IndexByte(path, '?') >= 0
		if !ended {
			return
		}
	}
	t.spaces += bytes.Count(part, []byte(" "))
}

func (t *target) inPath() bool { return t.spaces == 1 && !t.query }

// pass follows what was read, and returns what net/http is to read in its place:
// the same bytes, with each malformed escape of a path made literal ("%25ZZ").
// It may keep back the beginning of an escape until the next call.
func (f *framing) pass(p []byte) []byte {
	if len(f.target.pending) == 0 && bytes.IndexByte(p, '%') < 0 {
		f.feed(p)
		return p
	}
	out := make([]byte, 0, len(p)+8)
	emit := func(b []byte) {
		f.feed(b)
		out = append(out, b...)
	}
	for len(p) > 0 {
		n := f.stretch(p)
		switch t := &f.target; {
		case f.state != inRequestLine || !t.inPath():
			emit(p[:n])
		case len(t.pending) > 0 && !isHex(p[0]):
			literal := append([]byte("%25"), t.pending[1:]...)
			t.pending, t.bad = nil, true
			emit(literal)
			continue // p[0] has its own meaning
		case len(t.pending) == 2:
			escape := append(t.pending, p[0])
			t.pending = nil
			emit(escape)
		case len(t.pending) == 1 || p[0] == '%':
			t.pending = append(t.pending, p[0])
		default:
			emit(p[:n])
		}
		p = p[n:]
	}
	return out
}

// stretch returns how many bytes of p can be followed at once: those before the
// state may change to another in which bytes are escaped.
func (f *framing) stretch(p []byte) int {
	switch f.state {
	case lost:
		return len(p)
	case inRequestLine:
		return 1
	case inBody, inChunk:
		return int(min(f.left, int64(len(p))))
	}
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		return end + 1
	}
	return len(p)
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
