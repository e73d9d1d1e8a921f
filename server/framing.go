package server

import (
	"bytes"
	"strconv"
	"strings"
)

// A requestParser parses the requests on an HTTP/1 connection (RFC 9112, section 6), to find where each head begins.
// It must agree with net/http, which rejects most malformed requests and closes the connection. It marks a request
// that it can't parse as ambiguous.
//
// It stores no header fields except the two that determine the length. Its memory per connection is bounded: one line
// of maxKeptLine bytes and the heads that no handler has taken yet. With pipelining, net/http reads ahead at most one
// buffer, which bounds the number of heads.
type requestParser struct {
	untakenHeads []requestHead

	state       parserState
	currentLine []byte // cut at maxKeptLine
	bodyLeft    int64  // of the body or of the chunk
	position    requestLinePosition
	currentHead requestHead
}

// A requestHead has the parts of a request's head that determine the length of its body.
type requestHead struct {
	requestLine   string // "POST /path HTTP/1.1", cut at maxKeptLine
	contentLength int64  // -1 without the header
	isChunked     bool
	// isAmbiguous is true if the request has two lengths, or a length that parsers read differently.
	isAmbiguous bool
	// hasMalformedPath is true if the path had a percent sign without two hexadecimal digits.
	hasMalformedPath bool
}

// A parserState is the part of a request to which the next byte belongs.
type parserState int

// In the state atUnknownPosition, the parser does not know where the next request begins.
const (
	inRequestLine parserState = iota
	inFields
	inBody
	inChunkSize
	inChunk
	inTrailer
	atUnknownPosition
)

// maxKeptLine bounds the bytes that a requestParser keeps of a line. The lines of Content-Length and
// Transfer-Encoding are shorter.
const maxKeptLine = 1 << 10

// parse accepts any part of the connection's bytes, which may end anywhere in a request.
func (f *requestParser) parse(p []byte) {
	for len(p) > 0 && f.state != atUnknownPosition {
		// Bytes of a body are only counted. A body may look like a request line, but it must not
		// start a head.
		if f.state == inBody || f.state == inChunk {
			n := min(f.bodyLeft, int64(len(p)))
			p, f.bodyLeft = p[n:], f.bodyLeft-n
			switch {
			case f.bodyLeft > 0:
			case f.state == inBody:
				f.state = inRequestLine
			default:
				f.state = inChunkSize
			}
			continue
		}
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		// The position needs every byte of the line, even those after maxKeptLine.
		if f.state == inRequestLine {
			f.position.advance(part)
		}
		f.currentLine = append(f.currentLine, part[:min(len(part), maxKeptLine-len(f.currentLine))]...)
		if !ended {
			return
		}
		// A bare LF ends a line in net/http, so it must end one here.
		line := bytes.TrimSuffix(f.currentLine, []byte("\r"))
		p, f.currentLine = rest, f.currentLine[:0] // parseLine does not store line, so the next line may reuse its memory
		f.parseLine(line)
	}
}

// parseLine gets a complete line without its line break.
func (f *requestParser) parseLine(line []byte) {
	switch f.state {
	case inRequestLine:
		f.currentHead = requestHead{requestLine: string(line), contentLength: -1, isAmbiguous: len(line) == 0,
			hasMalformedPath: f.position.isMalformed}
		f.state, f.position = inFields, requestLinePosition{}
	case inFields:
		if len(line) == 0 {
			f.finishHead()
			return
		}
		f.currentHead.parseField(line)
	case inChunkSize:
		// Extensions of a chunk (RFC 9112, section 7.1.1) have no meaning for its size.
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseInt(string(bytes.TrimRight(digits, " \t")), 16, 62)
		switch {
		case err != nil || size < 0:
			f.state = atUnknownPosition
		case size == 0:
			f.state = inTrailer
		default:
			f.state, f.bodyLeft = inChunk, size+2 // the CRLF after the chunk counts, too
		}
	case inTrailer:
		if len(line) == 0 {
			f.state = inRequestLine
		}
	}
}

// parseField accepts equal Content-Length fields, as net/http does. Names are compared as ASCII and without trimming,
// because net/http rejects a space before the colon. HTTP/1.0 has no Transfer-Encoding, so a request with this header
// is ambiguous.
func (h *requestHead) parseField(line []byte) {
	if line[0] == ' ' || line[0] == '\t' {
		// A folded line continues the previous field, which may determine the length.
		h.isAmbiguous = h.isAmbiguous || h.isChunked || h.contentLength >= 0
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		length, err := strconv.ParseInt(string(bytes.Trim(value, " \t")), 10, 63)
		h.isAmbiguous = h.isAmbiguous || err != nil || length < 0 || h.contentLength >= 0 && h.contentLength != length
		h.contentLength = length
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		h.isAmbiguous = h.isAmbiguous || h.isChunked || strings.HasSuffix(h.requestLine, "HTTP/1.0")
		h.isChunked = true
	}
}

// finishHead is called after the last header line and determines the length of the body. The cases have the order of
// RFC 9112, section 6.3.
func (f *requestParser) finishHead() {
	h := &f.currentHead
	h.isAmbiguous = h.isAmbiguous || h.isChunked && h.contentLength >= 0
	f.untakenHeads = append(f.untakenHeads, *h)
	switch {
	case h.isAmbiguous:
		f.state = atUnknownPosition // rejectAmbiguousLength closes the connection
	case h.isChunked:
		f.state = inChunkSize
	case h.contentLength > 0:
		f.state, f.bodyLeft = inBody, h.contentLength
	default:
		f.state = inRequestLine
	}
}

// takeHead removes the recorded heads up to the head with this request line. Heads of other requests may precede it,
// because net/http rejects some requests without calling a handler. Two requests with the same line on one connection
// are taken in their order.
func (f *requestParser) takeHead(line string) (h requestHead, found bool) {
	line = line[:min(len(line), maxKeptLine)]
	for i, h := range f.untakenHeads {
		if h.requestLine == line {
			f.untakenHeads = f.untakenHeads[i+1:]
			return h, true
		}
	}
	return requestHead{}, false
}
