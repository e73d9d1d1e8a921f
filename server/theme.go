package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/watchword-auth/watchword/web"
)

// A theme holds the templates, texts, style and script of the pages. An operator's files replace
// those of package web (docs/pages.md). It never changes after New, so requests read it without a
// lock. New files need a restart.
type theme struct {
	overrides fs.FS // nil: only the built-in files
	templates map[string]*template.Template
	languages []language.Tag // the first is the fallback
	texts     []map[string]string
	matcher   language.Matcher
	style     []byte
	script    template.JS
	icon      template.URL
}

// defaultLanguage has all texts. Other languages fall back to it.
const defaultLanguage = "en"

// newTheme reads all files. A faulty file is an error now, and not when a page is shown. An
// operator thus sees the mistake at the start, and users never do.
func newTheme(overrides fs.FS) (*theme, error) {
	t := &theme{overrides: overrides, templates: map[string]*template.Template{}}
	if err := t.readTexts(); err != nil {
		return nil, err
	}
	if err := t.readTemplates(); err != nil {
		return nil, err
	}
	extra, err := t.read("assets/theme.css")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if t.style, err = t.read("assets/style.css"); err != nil {
		return nil, err
	}
	// The operator's own style comes last, so its rules win over those of the same weight.
	t.style = append(t.style, extra...)
	script, err := t.read("assets/page.js")
	if err != nil {
		return nil, err
	}
	t.script = template.JS(script)
	icon, err := t.read("assets/mark.svg")
	if err != nil {
		return nil, err
	}
	t.icon = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(icon))
	return t, nil
}

// read returns the operator's file, or else the one of package web. An unreadable file is an error
// and does not fall back: the operator would not notice the mistake.
func (t *theme) read(name string) ([]byte, error) {
	if t.overrides != nil {
		content, err := fs.ReadFile(t.overrides, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return fs.ReadFile(web.Files, name)
}

// readTexts reads a catalog for each language. A text that a language lacks is in the default
// language. A translation can thus be incomplete, and an operator's file may change a single text.
func (t *theme) readTexts() error {
	names, err := fs.Glob(web.Files, "texts/*.json")
	if err != nil {
		return err
	}
	if t.overrides != nil {
		more, err := fs.Glob(t.overrides, "texts/*.json")
		if err != nil {
			return err
		}
		names = append(names, more...)
	}
	// The default language comes first: the others are copies of it, and it is the fallback of the
	// matcher.
	first := "texts/" + defaultLanguage + ".json"
	slices.Sort(names)
	names = slices.Compact(names)
	names = append([]string{first}, slices.DeleteFunc(names, func(name string) bool { return name == first })...)
	for _, name := range names {
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return fmt.Errorf("%s: the file name must be a language, such as fr.json", name)
		}
		texts := map[string]string{}
		if len(t.texts) > 0 {
			maps.Copy(texts, t.texts[0])
		}
		for _, from := range []fs.FS{web.Files, t.overrides} {
			if err := addTexts(texts, from, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		t.languages, t.texts = append(t.languages, tag), append(t.texts, texts)
	}
	t.matcher = language.NewMatcher(t.languages)
	return nil
}

// addTexts replaces texts by those of a file, if it exists. Only the first file may add keys. An
// unknown key in another file is a typing error. It is called twice for each language: with the
// file of package web, and then with the operator's.
func addTexts(texts map[string]string, from fs.FS, name string) error {
	if from == nil {
		return nil
	}
	content, err := fs.ReadFile(from, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var more map[string]string
	if err := json.Unmarshal(content, &more); err != nil {
		return err
	}
	first := len(texts) == 0
	for key, text := range more {
		if _, known := texts[key]; !known && !first {
			return fmt.Errorf("unknown text %q: web/texts/en.json has all keys", key)
		}
		texts[key] = text
	}
	return nil
}

// readTemplates parses each page together with the layout. An operator's file that replaces no
// template is an error, because its name is probably misspelt. Each page has its own set, because
// all pages define a template of the same name for the layout.
func (t *theme) readTemplates() error {
	names, err := fs.Glob(web.Files, "templates/*.html")
	if err != nil {
		return err
	}
	if t.overrides != nil {
		replacements, err := fs.Glob(t.overrides, "templates/*")
		if err != nil {
			return err
		}
		for _, name := range replacements {
			if !slices.Contains(names, name) {
				return fmt.Errorf("%s is not the name of a template. The templates are %s", name, strings.Join(names, ", "))
			}
		}
	}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		if page == "layout" {
			continue
		}
		all := template.New("")
		for _, part := range []string{"templates/layout.html", name} {
			text, err := t.read(part)
			if err != nil {
				return err
			}
			if _, err := all.New(path.Base(part)).Parse(string(text)); err != nil {
				return fmt.Errorf("%s: %w", part, err)
			}
		}
		t.templates[page] = all
	}
	return nil
}
