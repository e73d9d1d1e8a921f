package server

import (
	"bytes"
)

// net/http rejects a path such as "/a/%ZZ" with plain text and closes the connection. Front-ends expect JSON, and
// people expect a page. Therefore a watchedConn escapes such a percent sign before net/http reads it, and marks the
// request. The middleware rejectMalformedPath then rejects the request in the right format.

// A requestLinePosition tells which part of a request line comes next. The line consists of method, target and
// protocol, with one space between them (RFC 9112, section 3). The position is kept between reads, because the
// network may split a line anywhere.
type requestLinePosition struct {
	spaces      int
	isInQuery   bool
	heldEscape  []byte // not yet passed on
	isMalformed bool   // the path had an invalid escape
}

// advance moves the position past part, which must not contain the end of the line. A part may be as short as one
// byte.
func (t *requestLinePosition) advance(part []byte) {
	if t.spaces == 1 && !t.isInQuery {
		path, _, ended := bytes.Cut(part, []byte(" "))
		t.isInQuery = bytes.IndexByte(path, '?') >= 0
		if !ended {
			return
		}
	}
	t.spaces += bytes.Count(part, []byte(" "))
}

// isInPath is false in the query, because net/http accepts malformed escapes there.
func (t *requestLinePosition) isInPath() bool { return t.spaces == 1 && !t.isInQuery }

// parseAndEscape processes bytes from the network and returns the bytes that net/http reads. It changes only
// malformed escapes in a path: it escapes their percent sign ("%25ZZ"). It may hold back the beginning of an escape
// until the next call. The result may share memory with p.
func (f *requestParser) parseAndEscape(p []byte) []byte {
	// Nearly all reads return here, after one scan and without a copy.
	if len(f.position.heldEscape) == 0 && bytes.IndexByte(p, '%') < 0 {
		f.parse(p)
		return p
	}
	// Eight more bytes are enough for a few escapes. append grows the slice for more.
	out := make([]byte, 0, len(p)+8)
	emit := func(b []byte) {
		f.parse(b)
		out = append(out, b...)
	}
	for len(p) > 0 {
		n := f.bytesPerStep(p)
		switch t := &f.position; {
		case f.state != inRequestLine || !t.isInPath():
			emit(p[:n])
		case len(t.heldEscape) > 0 && !isHex(p[0]):
			literal := append([]byte("%25"), t.heldEscape[1:]...)
			t.heldEscape, t.isMalformed = nil, true
			emit(literal)
			continue // without consuming p[0], which may begin another escape
		// This byte completes a valid escape, because the previous case handles bytes that are not hexadecimal.
		case len(t.heldEscape) == 2:
			escape := append(t.heldEscape, p[0])
			t.heldEscape = nil
			emit(escape)
		case len(t.heldEscape) == 1 || p[0] == '%':
			t.heldEscape = append(t.heldEscape, p[0])
		default:
			emit(p[:n])
		}
		p = p[n:]
	}
	return out
}

// bytesPerStep is 1 in a request line, because any byte can end the path. The bytes of a body are processed together,
// because a body can be large.
func (f *requestParser) bytesPerStep(p []byte) int {
	switch f.state {
	case atUnknownPosition:
		return len(p)
	case inRequestLine:
		return 1
	case inBody, inChunk:
		return int(min(f.bodyLeft, int64(len(p))))
	}
	if end := bytes.IndexByte(p, '\n'); end >= 0 {
		return end + 1
	}
	return len(p)
}

// isHex accepts upper and lower case (RFC 3986, section 2.1).
func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
