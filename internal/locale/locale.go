// Package locale reads language tags (BCP 47) and the Accept-Language header.
package locale

import "golang.org/x/text/language"

// maxTagLength counts characters (RFC 5646, section 4.4.1).
const maxTagLength = 35

// Parse returns a tag in its canonical form. It reports false for a text that names no
// language.
func Parse(text string) (string, bool) {
	if len(text) > maxTagLength {
		return "", false
	}
	tag, err := language.Parse(text)
	if err != nil || tag == language.Und {
		return "", false
	}
	return tag.String(), true
}

// First returns the preferred language of an Accept-Language header (RFC 9110, section 12.5.4), or "". It skips the
// wildcard *.
func First(header string) string {
	const most = 500 // browsers send less; a longer header would take long to parse
	if len(header) > most {
		return ""
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return ""
	}
	for _, tag := range tags {
		if base, _ := tag.Base(); base.String() == "mul" { // the parser returns mul for the wildcard
			continue
		}
		if text, ok := Parse(tag.String()); ok {
			return text
		}
	}
	return ""
}
