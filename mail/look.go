package mail

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
)

// Mail programs support only a few rules of a style sheet, so each element of a mail has its own colours. The colours
// come from variables such as --accent, in the style sheets of the pages and of the operator.

type look struct {
	light, dark palette
	logo        []byte // a PNG, or nil
}

// A palette contains only hexadecimal colours, because parsePalette gets them from colourVariables. They are
// therefore safe as CSS.
type palette struct {
	Paper, Card, Ink, Soft, Line, Accent, OnAccent htmltemplate.CSS
}

// An overlay reads the operator's file, or else the built-in file. The field customFiles may be nil.
type overlay struct{ customFiles, builtinFiles fs.FS }

func (o overlay) read(name string) ([]byte, error) {
	if o.customFiles != nil {
		content, err := fs.ReadFile(o.customFiles, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return fs.ReadFile(o.builtinFiles, name)
}

// readLook reads the colours and the logo. The logo of mails is assets/mark.png, because mail programs do not show
// SVG. If an operator replaces only assets/mark.svg, mails have no logo, because the built-in PNG would be the wrong
// one.
func readLook(files overlay) (l look, err error) {
	style, err := files.read("assets/style.css")
	if err != nil {
		return look{}, err
	}
	theme, err := files.read("assets/theme.css")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return look{}, err
	}
	light, dark := colourVariables(string(style) + "\n" + string(theme))
	if l.light, err = parsePalette(light); err != nil {
		return look{}, err
	}
	if l.dark, err = parsePalette(dark); err != nil {
		return look{}, err
	}
	if custom := files.customFiles; custom != nil &&
		exists(custom, "assets/mark.svg") && !exists(custom, "assets/mark.png") {
		return l, nil
	}
	if l.logo, err = files.read("assets/mark.png"); err != nil {
		return look{}, err
	}
	if http.DetectContentType(l.logo) != "image/png" {
		return look{}, errors.New("assets/mark.png is not a PNG picture")
	}
	return l, nil
}

func exists(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

var (
	comment  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	darkRule = regexp.MustCompile(`(?s)@media\s*\([^{]*prefers-color-scheme:\s*dark[^{]*\{(?:[^{}]|\{[^{}]*\})*\}`)
	rootRule = regexp.MustCompile(`(?s):root\s*\{([^{}]*)\}`)
	variable = regexp.MustCompile(`--([a-z-]+)\s*:\s*(#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3}))\s*(?:;|$)`)
)

// colourVariables returns the hexadecimal colours that the rules for :root define, in light and in dark mode. As in a
// browser, later rules override earlier ones. It skips colours in another form, such as oklch(…), because many mail
// programs do not support them. The earlier value then applies.
func colourVariables(style string) (light, dark map[string]string) {
	style = comment.ReplaceAllString(style, "")
	light, dark = map[string]string{}, map[string]string{}
	collectVariables(light, darkRule.ReplaceAllString(style, ""))
	for name, value := range light {
		dark[name] = value
	}
	collectVariables(dark, strings.Join(darkRule.FindAllString(style, -1), "\n"))
	return light, dark
}

func collectVariables(into map[string]string, style string) {
	for _, rule := range rootRule.FindAllStringSubmatch(style, -1) {
		for _, found := range variable.FindAllStringSubmatch(rule[1], -1) {
			into[found[1]] = found[2]
		}
	}
}

// parsePalette returns an error if a colour is missing, because the mail could be unreadable.
func parsePalette(from map[string]string) (c palette, err error) {
	for name, into := range map[string]*htmltemplate.CSS{
		"paper": &c.Paper, "card": &c.Card, "ink": &c.Ink, "soft": &c.Soft, "line": &c.Line,
		"accent": &c.Accent, "on-accent": &c.OnAccent,
	} {
		if from[name] == "" {
			return palette{}, fmt.Errorf("assets/style.css has no colour --%s: #rrggbb, which the mails need", name)
		}
		*into = htmltemplate.CSS(from[name])
	}
	return c, nil
}
