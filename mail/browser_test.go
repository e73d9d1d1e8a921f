package mail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/watchword-auth/watchword/internal/browsertest"
)

// lowContrastTexts is JavaScript. It returns the texts whose contrast with their background is below 4.5:1 (WCAG 2.2,
// 1.4.3).
const lowContrastTexts = `() => {
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number)
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor)
      if (c.length === 3 || c[3] === 1) return c
    }
    return [255, 255, 255]
  }
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.nodeValue.trim())
  return [...document.querySelectorAll("body *")].filter((e) => hasText(e) && e.checkVisibility()).filter((e) => {
    const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e))
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5
  }).map((e) => e.innerText + " " + getComputedStyle(e).color + " on " + behind(e))
}`

// Every mail must fit the screen of a phone, and its text must have enough contrast in light and in dark mode.
func TestEveryMailFitsAndIsReadable(t *testing.T) {
	t.Parallel()
	var browser browsertest.Chromium
	t.Cleanup(browser.Stop)
	tab := browser.Open(t)
	file := filepath.Join(t.TempDir(), "mail.html")
	for _, kind := range kinds {
		for _, locale := range []string{"", "de"} {
			m := completeMessage(kind)
			m.Locale = locale
			mail, err := renderer(t).Render(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(mail.Document()), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := chromedp.Do(tab, chromedp.Navigate("file://"+file)); err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix("mail-"+string(kind)+"-"+locale, "-")
			browsertest.InEachView(t, tab, name, func(view string) {
				texts, err := browsertest.Evaluate[[]string](tab, lowContrastTexts)
				if err != nil || len(texts) > 0 {
					t.Errorf("%s, %s: too faint: %q %v", name, view, texts, err)
				}
				width, err := browsertest.Evaluate[int](tab, `() => document.querySelector("img").naturalWidth`)
				if err != nil || width == 0 {
					t.Errorf("%s, %s: the logo is not shown: %v", name, view, err)
				}
			})
		}
	}
}
