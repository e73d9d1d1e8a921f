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

// A look contains the colours and the logo of the mails.
type look struct {
	light, dark colours
	logo        []byte // a PNG, or nil if mails have no logo
}

// colours contains CSS colours by name. readLook has checked that they are hexadecimal.
type colours struct {
	Paper, Card, Ink, Soft, Line, Accent, OnAccent htmltemplate.CSS
}

// An overlay reads files of the operator (own, which may be nil). If a file is missing there, it reads the built-in
// file.
type overlay struct{ own, builtin fs.FS }

// read returns the operator's file. If this file does not exist, it returns the built-in file.
func (o overlay) read(name string) ([]byte, error) {
	if o.own != nil {
		content, err := fs.ReadFile(o.own, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return fs.ReadFile(o.builtin, name)
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
	light, dark := variables(string(style) + "\n" + string(theme))
	if l.light, err = newColours(light); err != nil {
		return look{}, err
	}
	if l.dark, err = newColours(dark); err != nil {
		return look{}, err
	}
	if files.own != nil && exists(files.own, "assets/mark.svg") && !exists(files.own, "assets/mark.png") {
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

// variables returns the hexadecimal colours that the rules for :root define, in light and in dark mode. As in a
// browser, later rules override earlier ones. It skips colours in another form, such as oklch(…), because many mail
// programs do not support them. The earlier value then applies.
func variables(style string) (light, dark map[string]string) {
	style = comment.ReplaceAllString(style, "")
	light, dark = map[string]string{}, map[string]string{}
	collect(light, darkRule.ReplaceAllString(style, ""))
	for name, value := range light { // dark mode begins with the values of light mode
		dark[name] = value
	}
	collect(dark, strings.Join(darkRule.FindAllString(style, -1), "\n"))
	return light, dark
}

func collect(into map[string]string, style string) {
	for _, rule := range rootRule.FindAllStringSubmatch(style, -1) {
		for _, found := range variable.FindAllStringSubmatch(rule[1], -1) {
			into[found[1]] = found[2]
		}
	}
}

// newColours returns the colours of a mail. It returns an error if a colour is missing, because the mail could be
// unreadable.
func newColours(from map[string]string) (c colours, err error) {
	for name, into := range map[string]*htmltemplate.CSS{
		"paper": &c.Paper, "card": &c.Card, "ink": &c.Ink, "soft": &c.Soft, "line": &c.Line,
		"accent": &c.Accent, "on-accent": &c.OnAccent,
	} {
		if from[name] == "" {
			return colours{}, fmt.Errorf("assets/style.css has no colour --%s: #rrggbb, which the mails need", name)
		}
		*into = htmltemplate.CSS(from[name])
	}
	return c, nil
}
