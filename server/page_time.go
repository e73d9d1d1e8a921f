package server

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Times on pages are <time> elements. The server does not know the reader's time zone, so it
// writes UTC, and the script converts the time (page.js).

// When formats a time in UTC. The script converts the time to the reader's time zone.
func (v *view) When(t time.Time) template.HTML {
	t = t.UTC()
	text := template.HTMLEscapeString(t.Format(v.T("time")))
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), text))
}

// relativeUntil is the age from which Ago shows a date, because a date is easier to understand than "40 days ago".
const relativeUntil = 30 * 24 * time.Hour

// Ago formats a past time relative to now, such as "5 minutes ago", with the exact time as its
// tooltip. A time in the future counts as now, because the clock of the store may be ahead of
// this process's clock.
func (v *view) Ago(t time.Time) template.HTML { return v.formatAge(t, time.Now()) }

// formatAge takes the current time, so that tests can choose it.
func (v *view) formatAge(t, now time.Time) template.HTML {
	age := max(now.Sub(t), 0)
	if age >= relativeUntil {
		return v.When(t)
	}
	unit, n := ageInUnit(age)
	text := v.T("ago." + unit)
	if n > 1 {
		text = v.T("ago."+unit+"s", n)
	}
	t = t.UTC()
	// The script counts from this age, because the reader's clock may be wrong.
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-age="%d">%s</time>`, t.Format(time.RFC3339),
		template.HTMLEscapeString(t.Format(v.T("time"))), int(age/time.Second), template.HTMLEscapeString(text)))
}

// ageInUnit returns the largest unit that fits: "minute", "hour" or "day". It rounds down, as the script does. Below
// a minute, the unit is "now".
func ageInUnit(age time.Duration) (unit string, n int) {
	const day = 24 * time.Hour
	switch {
	case age >= day:
		return "day", int(age / day)
	case age >= time.Hour:
		return "hour", int(age / time.Hour)
	case age >= time.Minute:
		return "minute", int(age / time.Minute)
	}
	return "now", 0
}

// Say returns a text in which a time (When) replaces %s. It escapes the text first, because a translation may contain
// special characters of HTML.
func (v *view) Say(key string, t time.Time) template.HTML {
	return template.HTML(strings.Replace(template.HTMLEscapeString(v.T(key)), "%s", string(v.When(t)), 1))
}
