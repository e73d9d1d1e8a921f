package admin

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/device"
)

// The sentences of explanations. They are here and not in web/texts because the API and the command
// line use them, too. A name in braces is a placeholder.

//go:embed texts
var textFiles embed.FS

// sentencesByLanguage reads both files, which have the same keys.
var sentencesByLanguage = sync.OnceValue(func() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, language := range []string{"en", "de"} {
		var read map[string]string
		raw, err := textFiles.ReadFile("texts/" + language + ".json")
		if err == nil {
			err = json.Unmarshal(raw, &read)
		}
		if err != nil {
			panic(err) // impossible, because a test reads both files
		}
		all[language] = read
	}
	return all
})

type phrases struct {
	texts      map[string]string
	timeLayout string // for time.Format
}

// phrasesIn accepts tags such as "de" or "de-AT". Every other language gets English.
func phrasesIn(language string) phrases {
	if base, _, _ := strings.Cut(language, "-"); base == "de" {
		return phrases{sentencesByLanguage()["de"], "02.01.2006, 15:04 UTC"}
	}
	return phrases{sentencesByLanguage()["en"], "2 January 2006, 15:04 UTC"}
}

func (w phrases) has(key string) bool { return w.texts[key] != "" }

// format replaces the names in braces. pairs has the names and values.
func (w phrases) format(key string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(w.texts[key])
}

// formatCount replaces {n} in a text by a number. For the number 1, it uses the text whose key ends with ".one".
func (w phrases) formatCount(key string, n int, pairs ...string) string {
	if n == 1 {
		key += ".one"
	}
	return w.format(key, append(pairs, "n", strconv.Itoa(n))...)
}

// formatTime is exact to the minute, which is enough to find an entry in the log. Explanation.When is exact.
func (w phrases) formatTime(t time.Time) string { return t.UTC().Format(w.timeLayout) }

// formatDuration uses the largest unit that divides the duration, rounded to minutes.
func (w phrases) formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		unit time.Duration
		key  string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		whole := d.Round(u.unit)
		if whole > 0 && (d%u.unit == 0 || d > 3*u.unit) && (d > u.unit || u.unit != day) {
			return w.formatCount("span."+u.key, int(whole/u.unit))
		}
	}
	return w.formatCount("span.second", int(d.Round(time.Second)/time.Second))
}

// formatDevice returns a text such as "Safari on iPhone, 192.0.2.7".
func (w phrases) formatDevice(name, address string) string {
	named := device.Translate(name, func(key string, args ...any) string { return fmt.Sprintf(w.texts[key], args...) })
	if address == "" {
		return named
	}
	return named + ", " + address
}

func (w phrases) operator(name string) string {
	if name == "" {
		return w.format("an.operator")
	}
	return w.format("the.operator", "name", name)
}

// formatDeleter says who deleted an account, from the detail of EventDeleted.
func (w phrases) formatDeleter(e watchword.Event) string {
	if e.Operator != "" || e.Detail != "" {
		return w.operator(e.Operator)
	}
	return w.format("the.user")
}
