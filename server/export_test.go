package server

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

// NewStreams counts streams without any.
func NewStreams() (enter func(client string) bool, leave func(client string)) {
	s := newStreams()
	return s.enter, s.leave
}
