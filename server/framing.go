package server

import (
	"bytes"
	"strconv"
	"strings"
)

// A framing parses the requests on an HTTP/1 connection (RFC 9112, section 6), to find where each head begins. It
// must agree with net/http, which rejects most malformed requests and closes the connection. If framing can't parse a
// request, it marks the request as unclear.
//
// It stores no header fields except the two that determine the length. Its memory per connection is bounded: one line
// of maxLine bytes and the heads that no handler has taken yet. With pipelining, net/http reads ahead at most one
// buffer, which bounds the number of heads.
type framing struct {
	heads []head // parsed, and not yet taken by a request

	state   frameState
	line    []byte // beginning of the current line, cut at maxLine
	left    int64  // remaining bytes of the body or chunk
	target  target // position in the request line
	current head
}

// A head holds the parts of a request's head that determine its length.
type head struct {
	line    string // "POST /path HTTP/1.1", cut at maxLine
	length  int64  // Content-Length, or -1 without one
	chunked bool
	unclear bool // the request has two lengths, or a length that parsers read differently
	badPath bool // the path had a percent sign without two hexadecimal digits
}

// A frameState is the part of a request to which the next byte belongs.
type frameState int

// In the state lost, the parser no longer knows where the next request begins.
const (
	inRequestLine frameState = iota
	inFields
	inBody
	inChunkSize
	inChunk
	inTrailer
	lost
)

// maxLine is the maximum number of bytes that a framing keeps of a line. The lines of Content-Length and
// Transfer-Encoding are shorter.
const maxLine = 1 << 10

// The method feed parses the next bytes of the connection. The bytes may end anywhere in a request.
func (f *framing) feed(p []byte) {
	for len(p) > 0 && f.state != lost {
		// Bytes of a body are only counted. A body may look like a request line, but it must not
		// start a head.
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
		// The method follow needs every byte of the line, even those after maxLine.
		if f.state == inRequestLine {
			f.target.follow(part)
		}
		f.line = append(f.line, part[:min(len(part), maxLine-len(f.line))]...)
		if !ended {
			return
		}
		// A bare LF ends a line in net/http, so it must end one here.
		line := bytes.TrimSuffix(f.line, []byte("\r"))
		p, f.line = rest, f.line[:0] // endLine does not store line, so the next line may reuse its memory
		f.endLine(line)
	}
}

// endLine processes a complete line without its line break.
func (f *framing) endLine(line []byte) {
	switch f.state {
	case inRequestLine:
		f.current = head{line: string(line), length: -1, unclear: len(line) == 0, badPath: f.target.bad}
		f.state, f.target = inFields, target{}
	case inFields:
		if len(line) == 0 {
			f.endHead()
			return
		}
		f.current.field(line)
	case inChunkSize:
		// Extensions of a chunk (RFC 9112, section 7.1.1) have no meaning for its size.
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseInt(string(bytes.TrimRight(digits, " \t")), 16, 62)
		switch {
		case err != nil || size < 0:
			f.state = lost
		case size == 0:
			f.state = inTrailer
		default:
			f.state, f.left = inChunk, size+2 // the CRLF after the chunk counts, too
		}
	case inTrailer:
		if len(line) == 0 {
			f.state = inRequestLine
		}
	}
}

// The method field parses one header line. Equal Content-Length fields are accepted, as in net/http. Names are
// compared as ASCII and without trimming, because net/http rejects a space before the colon. HTTP/1.0 has no
// Transfer-Encoding, so a request with this header is unclear.
func (h *head) field(line []byte) {
	if line[0] == ' ' || line[0] == '\t' {
		// A folded line continues the previous field, which may determine the length.
		h.unclear = h.unclear || h.chunked || h.length >= 0
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		length, err := strconv.ParseInt(string(bytes.Trim(value, " \t")), 10, 63)
		h.unclear = h.unclear || err != nil || length < 0 || h.length >= 0 && h.length != length
		h.length = length
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		h.unclear = h.unclear || h.chunked || strings.HasSuffix(h.line, "HTTP/1.0")
		h.chunked = true
	}
}

// endHead determines the length of the body, after the last header line. The cases have the order
// of RFC 9112, section 6.3.
func (f *framing) endHead() {
	h := &f.current
	h.unclear = h.unclear || h.chunked && h.length >= 0
	f.heads = append(f.heads, *h)
	switch {
	case h.unclear:
		f.state = lost // rejectAmbiguousLength closes the connection
	case h.chunked:
		f.state = inChunkSize
	case h.length > 0:
		f.state, f.left = inBody, h.length
	default:
		f.state = inRequestLine
	}
}

// The method take removes the recorded heads up to the head with this request line, and returns that head. Heads of
// other requests may precede it, because net/http rejects some requests without calling a handler. Two requests with
// the same line on one connection are taken in their order.
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
