package server

import "net/netip"

import "bytes"

// Heads are the request lines that stand in text, read in pieces of that size,
// up to the first request that does not say clearly how long it is.
func Heads(text []byte, size int) (lines []string, allClear bool) {
	f, _ := follow(text, size)
	return clearHeads(f)
}

// Passed returns what net/http reads of text, and which paths had a malformed escape.
func Passed(text []byte, size int) (out []byte, bad []bool) {
	f, out := follow(text, size)
	for _, h := range f.heads {
		bad = append(bad, h.badPath)
	}
	return out, bad
}

func follow(text []byte, size int) (f framing, out []byte) {
	for len(text) > 0 {
		n := min(size, len(text))
		out = append(out, f.pass(bytes.Clone(text[:n]))...)
		text = text[n:]
	}
	return f, out
}

func clearHeads(f framing) (lines []string, allClear bool) {
	for _, h := range f.heads {
		if h.unclear {
			return lines, false
		}
		lines = append(lines, h.line)
	}
	return lines, true
}

// Streams are the open streams of a server without readers.
type Streams struct{ s *streams }

func NewStreams() Streams { return Streams{newStreams()} }

// Enter opens a stream for an address. It returns false for replaced if the stream is
// open, and leave to close it; or ok false.
func (s Streams) Enter(addr netip.Addr) (leave func(), replaced func() bool, ok bool) {
	one := s.s.open(networkOf(addr))
	if one == nil {
		return nil, nil, false
	}
	return func() { s.s.close(one) }, one.isReplaced, true
}

// Count returns how many streams are open.
func (s Streams) Count() int { return s.s.count() }

// OpenStreams are those of a server.
func (s *Server) OpenStreams() Streams { return Streams{s.api.streams} }
