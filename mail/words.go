package mail

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/device"
)

// An attacker can sign up with another person's address, choose any name and send any user agent. A mail contains
// such text only if it can't be a message or a link: mail programs turn "evil.example" and telephone numbers into
// links. Any other text is omitted completely.

const (
	maxName         = 60 // in code points
	maxDevice       = 64
	maxFactor       = 60
	maxFactorDigits = 4 // excludes telephone numbers

	fewCodes = 3 // with so few recovery codes, the mail asks for new ones
)

// safePersonName returns name if it contains only letters, spaces, hyphens, apostrophes, and dots at the end of
// words. Otherwise it returns "".
func safePersonName(name string) string {
	return textIfAllowed(name, maxName, func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsMark(r) || strings.ContainsRune(" \u00a0-'’.", r)
	})
}

// safeDeviceName returns device if it could come from internal/device, and otherwise "".
func safeDeviceName(device string) string {
	return textIfAllowed(device, maxDevice, func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune(" -_.", r)
	})
}

// safeFactorName returns name if it looks like the name of a product or a device, such as "Ada's iPhone 15" or
// "iCloud Keychain (Managed)". Otherwise it returns "".
func safeFactorName(name string) string {
	digits := 0
	return textIfAllowed(name, maxFactor, func(r rune) bool {
		if r >= '0' && r <= '9' {
			digits++
			return digits <= maxFactorDigits
		}
		return unicode.IsLetter(r) || unicode.IsMark(r) || strings.ContainsRune(" \u00a0-_'’.()", r)
	})
}

func textIfAllowed(text string, most int, allowed func(rune) bool) string {
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

type mailTexts struct {
	texts        map[string]string
	bodyKind     string // a key of partsByKind
	message      watchword.Message
	greetingName string // from safePersonName; may be ""
	linkValidity string // in words; "" if the mail has no token
}

// partsByKind lists the parts of each kind of mail, in order. A part is "facts", "button" (followed by the expiry of
// its link), or the name of a text. The text "small" is shown smaller. The text "undo" of confirm_address appears only
// if the user can restore the previous address. A mail with a token repeats its link at the end, as plain text. The
// texts "left", "few" and "last" depend on how many codes or factors remain.
var partsByKind = map[string]string{
	"verify":                "text button small",
	"reset":                 "text button after small",
	"invite":                "text button small",
	"confirm_address":       "text button after undo small",
	"address_changed":       "text facts after undo button",
	"address_changed_final": "text facts after final",
	"address_replaced":      "text facts after final",
	"password_changed":      "text facts after else button",
	"reuse_detected":        "text facts after button small",
	"more_happened":         "text facts after button small",
	"signup_existing":       "text after button small",
	"totp_added":            "text facts after else button",
	"totp_removed":          "text last facts after else button",
	"passkey_added":         "text facts after else button",
	"passkey_removed":       "text last facts after else button",
	"identity_linked":       "text facts after else button",
	"identity_unlinked":     "text facts after else button",
	"factors_reset":         "text facts after else button",
	"two_step_on":           "text codes facts after button small",
	"recovery_used":         "text left few facts after button small",
}

func (w mailTexts) bodyBlocks(link string) (all []block) {
	kind := strings.TrimSuffix(w.bodyKind, "_final")
	for part := range strings.FieldsSeq(partsByKind[w.bodyKind]) {
		text := w.textFor("mail." + kind + "." + part)
		if part == "text" && w.message.Kind == watchword.MailFactorsReset { // each kind of factor has its own text
			text = cmp.Or(w.textFor("mail."+kind+"."+w.message.Factor), text)
		}
		switch {
		case part == "facts":
			if rows := w.factRows(); len(rows) > 0 {
				all = append(all, block{Type: "facts", Rows: rows})
			}
		case part == "button":
			all = append(all, block{Type: "button", Text: text, Link: link})
			if w.linkValidity != "" {
				all = append(all, block{Type: "small", Text: w.textFor("mail.expiry")})
			}
		case part == "undo" && kind == "confirm_address" && w.message.UndoUntil.IsZero(),
			part == "last" && w.message.Left > 0, part == "few" && w.message.Left > fewCodes:
		case part == "left" && w.message.Left < 2:
			text = w.textFor("mail." + kind + []string{".none", ".one"}[max(w.message.Left, 0)])
			all = append(all, block{Type: "text", Text: text})
		case part == "small":
			all = append(all, block{Type: "small", Text: text})
		default:
			all = append(all, block{Type: "text", Text: text})
		}
	}
	if w.linkValidity != "" {
		all = append(all, block{Type: "copy", Text: w.textFor("mail.copy"), Link: link})
	}
	return all
}

// factRows returns the facts of a mail as rows of a table, without unknown facts.
func (w mailTexts) factRows() (rows []tableRow) {
	widest := 0
	for _, one := range []struct{ key, value string }{
		{"mail.newEmail", string(w.message.NewEmail)},
		{"mail.factor", w.shownFactor()},
		{"mail.when", w.formatTime(w.message.At)},
		{"mail.device", w.translatedDevice()},
		{"mail.address", ipOrEmpty(w.message.MailFacts.Address)},
	} {
		if one.value == "" {
			continue
		}
		rows = append(rows, tableRow{Name: w.texts[one.key], Value: one.value})
		widest = max(widest, utf8.RuneCountInString(w.texts[one.key]))
	}
	for i, row := range rows {
		rows[i].Padded = row.Name + ":" + strings.Repeat(" ", widest-utf8.RuneCountInString(row.Name))
	}
	return rows
}

func (w mailTexts) translatedDevice() string {
	name := safeDeviceName(w.message.Device)
	if name == "" {
		return ""
	}
	return device.Translate(name, func(key string, args ...any) string { return fmt.Sprintf(w.texts[key], args...) })
}

// shownFactor returns "" for two kinds of mail: a summary reports several changes, and a reset concerns all factors
// of a kind.
func (w mailTexts) shownFactor() string {
	if w.message.Kind == watchword.MailMoreHappened || w.message.Kind == watchword.MailFactorsReset {
		return ""
	}
	return safeFactorName(w.message.Factor)
}

func (w mailTexts) greeting() string {
	if w.greetingName == "" {
		return w.textFor("mail.hello")
	}
	return w.textFor("mail.hello.name")
}

// textFor replaces all placeholders in one pass, so it does not replace a placeholder that is part of a user's name.
func (w mailTexts) textFor(key string) string {
	return strings.NewReplacer(
		"{product}", w.texts["brand"], "{to}", string(w.message.To), "{name}", w.greetingName,
		"{for}", w.linkValidity, "{until}", w.formatTime(w.message.Expires), "{undo}", w.formatTime(w.message.UndoUntil),
		"{left}", strconv.Itoa(w.message.Left),
	).Replace(w.texts[key])
}

// formatTime uses UTC, because the reader's time zone is unknown.
func (w mailTexts) formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(w.texts["time"])
}

func (w mailTexts) formatDuration(d time.Duration) string {
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
	return strings.ReplaceAll(w.texts["mail."+unit], "{n}", strconv.Itoa(count))
}

// wrap breaks a text into lines of at most 78 characters (RFC 5322, section 2.1.1). It does not break longer words.
func wrap(text string) string {
	const width = 78
	var lines strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		size := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+size > width:
			lines.WriteByte('\n')
			column = 0
		default:
			lines.WriteByte(' ')
			column++
		}
		lines.WriteString(word)
		column += size
	}
	return lines.String()
}
