package server

import (
	"bytes"
	"strconv"
	"strings"
)

// A framing follows the requests on a connection (RFC 9112, section 6) as far as
// one has to for knowing where each head begins. It reads as net/http does, which
// refuses most of what is malformed and closes the connection; what it does
// not follow is refused, never guessed.
type framing struct {
	heads []head // seen, and not yet taken

	state   frameState
	line    []byte // the line so far, cut at maxLine
	left    int64  // bytes until the body or the chunk ends
	target  target // where in a request line the next byte is
	current head
}

// A head is what was said of a request.
type head struct {
	line    string // "POST /path HTTP/1.1", cut at maxLine
	length  int64  // of Content-Length, or -1
	chunked bool
	unclear bool // both lengths, or one that net/http would read in another way than others
	badPath bool // the path had a percent sign without two hexadecimal digits
}

type frameState int

const (
	inRequestLine frameState = iota
	inFields
	inBody
	inChunkSize
	inChunk
	inTrailer
	lost
)

// maxLine is how much of a line is kept: more than any that matters has.
const maxLine = 1 << 10

// feed goes on with what was read next.
func (f *framing) feed(p []byte) {
	for len(p) > 0 && f.state != lost {
		if f.state == inBody || f.state == inChunk {
			n := min(f.left, int64(len(p)))
			p, f.left = p[n:], f.left-n
			switch {
			case f.left > 0:
			case f.state == inBody:
				f.state = inRequestLine
			default:
				f.state = inChunkSize
			}
			continue
		}
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		if f.state == inRequestLine {
			f.target.follow(part)
		}
		f.line = append(f.line, part[:min(len(part), maxLine-len(f.line))]...)
		if !ended {
			return
		}
		line := strings.TrimSuffix(string(f.line), "\r")
		p, f.line = rest, f.line[:0]
		f.endLine(line)
	}
}

func (f *framing) endLine(line string) {
	switch f.state {
	case inRequestLine:
		f.current = head{line: line, length: -1, unclear: line == "", badPath: f.target.bad}
		f.state, f.target = inFields, target{}
	case inFields:
		if line == "" {
			f.endHead()
			return
		}
		f.current.field(line)
	case inChunkSize:
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseInt(strings.TrimRight(digits, " \t"), 16, 62)
		switch {
		case err != nil || size < 0:
			f.state = lost
		case size == 0:
			f.state = inTrailer
		default:
			f.state, f.left = inChunk, size+2 // and CRLF
		}
	case inTrailer:
		if line == "" {
			f.state = inRequestLine
		}
	}
}

// field reads one line of a head.
func (h *head) field(line string) {
	if line[0] == ' ' || line[0] == '\t' {
		// A folded line belongs to the one before, which may be a length.
		h.unclear = h.unclear || h.chunked || h.length >= 0
		return
	}
	name, value, _ := strings.Cut(line, ":")
	switch strings.ToLower(name) {
	case "content-length":
		length, err := strconv.ParseInt(strings.Trim(value, " \t"), 10, 63)
		h.unclear = h.unclear || err != nil || length < 0 || h.length >= 0 && h.length != length
		h.length = length
	case "transfer-encoding":
		h.unclear = h.unclear || h.chunked || strings.HasSuffix(h.line, "HTTP/1.0")
		h.chunked = true
	}
}

// endHead knows how long the body is.
func (f *framing) endHead() {
	h := &f.current
	h.unclear = h.unclear || h.chunked && h.length >= 0
	f.heads = append(f.heads, *h)
	switch {
	case h.unclear:
		f.state = lost // the connection closes
	case h.chunked:
		f.state = inChunkSize
	case h.length > 0:
		f.state, f.left = inBody, h.length
	default:
		f.state = inRequestLine
	}
}

// take removes the heads up to the one of this request line and returns it.
func (f *framing) take(line string) (h head, found bool) {
	line = line[:min(len(line), maxLine)]
	for i, h := range f.heads {
		if h.line == line {
			f.heads = f.heads[i+1:]
			return h, true
		}
	}
	return head{}, false
}
