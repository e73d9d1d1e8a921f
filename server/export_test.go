package server

// Heads are the request lines that stand in text, read in pieces of that size,
// up to the first request that does not say clearly how long it is.
func Heads(text []byte, size int) (lines []string, allClear bool) {
	var f framing
	for len(text) > 0 {
		n := min(size, len(text))
		f.feed(text[:n])
		text = text[n:]
	}
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
