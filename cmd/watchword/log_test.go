package main_test

import (
	"strings"
	"testing"
	"unicode"

	main "github.com/watchword-auth/watchword/cmd/watchword"
)

// LOG-2
func TestLogLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	const text = "x\nlevel=ERROR msg=forged\r\n{\"msg\":\"forged\"}\x1b[2J\u2028\x00"
	for _, format := range []string{"json", "text"} {
		line := main.LogLine(format, text, "client", text, text, text)
		body, found := strings.CutSuffix(line, "\n")
		if !found || strings.ContainsFunc(body, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl) }) {
			t.Errorf("%s: the line contains a line break or a control character: %q", format, line)
		}
		if !strings.Contains(body, "forged") {
			t.Errorf("%s: the line lost its text: %q", format, line)
		}
	}
}
