package mail

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A stranger can sign up with another person's address, choose any name and send any user
// agent. A mail contains such text only if it can't be a message or a link: mail programs turn
// "evil.example" and telephone numbers into links. Text that is rejected is left out and not
// repaired.

const (
	maxName   = 60 // code points
	maxDevice = 64
)

// personName returns name if it consists of letters, spaces, hyphens, apostrophes, and dots at
// the end of words. Otherwise it returns "".
func personName(name string) string {
	return onlyIf(name, maxName, func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsMark(r) || strings.ContainsRune(" \u00a0-'’.", r)
	})
}

// deviceName returns device if it has the form of a name from internal/device.
func deviceName(device string) string {
	return onlyIf(device, maxDevice, func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune(" -_.", r)
	})
}

func onlyIf(text string, most int, allowed func(rune) bool) string {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > most {
		return ""
	}
	dot := false
	for _, r := range text {
		if !allowed(r) || dot && r != ' ' {
			return ""
		}
		dot = r == '.'
	}
	return text
}

func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// clock formats a time in UTC, because the reader's time zone is unknown.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}

// span formats a duration in words.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	count, unit := int(d.Round(time.Minute)/time.Minute), "minute"
	switch {
	case d >= 2*day-30*time.Minute:
		count, unit = int(d.Round(day)/day), "day"
	case d >= 2*time.Hour-30*time.Second:
		count, unit = int(d.Round(time.Hour)/time.Hour), "hour"
	}
	if count = max(count, 1); count > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", count, unit)
}
