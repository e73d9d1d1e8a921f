// Package storable prepares texts from outside for a column of a database.
package storable

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Text returns at most size bytes of a text, cut between two characters. It removes
// invalid UTF-8 and NUL, because PostgreSQL rejects them.
func Text(text string, size int) string {
	if len(text) > size {
		end := size
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// Label reports whether a text is a label that people read: valid UTF-8 on one line, without control characters and
// bidirectional controls, which could forge the text around it.
func Label(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, isForbidden)
}

// ToLabel returns a text without the bytes and characters that Label refuses. A line break or tab becomes a space.
func ToLabel(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case !isForbidden(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
}

func isForbidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// ID reports whether a text has the form of an id: a UUID in lower case. Callers check an id from outside first,
// because PostgreSQL returns an error if a query contains some texts, such as a text with NUL.
func ID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}
