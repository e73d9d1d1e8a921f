package server

import (
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/watchword-auth/watchword/internal/catalog"
	"github.com/watchword-auth/watchword/web"
)

// A theme holds the templates, texts, style and script of the pages. An operator's files replace the files of package
// web (docs/pages.md). A theme never changes after New, so requests read it without a lock. Changed files need a
// restart.
type theme struct {
	overrides fs.FS                                         // nil: only the built-in files
	templates map[string]func() (*template.Template, error) // template sets by page name
	catalog   *catalog.Catalog
	style     []byte
	script    template.JS
	icon      template.URL
}

// newTheme reads all files of an operator. It returns an error for a faulty file, so that the operator
// sees the mistake at the start and users never do. product is the name of the service on the
// pages, unless the operator's texts have a brand.
func newTheme(overrides fs.FS, product string) (*theme, error) {
	texts, err := catalog.Read(web.Files, overrides, map[string]string{"brand": product})
	if err != nil {
		return nil, err
	}
	t := &theme{overrides: overrides, templates: map[string]func() (*template.Template, error){}, catalog: texts}
	if err := t.readTemplates(); err != nil {
		return nil, err
	}
	extra, err := t.readFile("assets/theme.css")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if t.style, err = t.readFile("assets/style.css"); err != nil {
		return nil, err
	}
	// The operator's own style comes last, so its rules override others of the same specificity.
	t.style = append(t.style, extra...)
	script, err := t.readFile("assets/page.js")
	if err != nil {
		return nil, err
	}
	t.script = template.JS(script)
	icon, err := t.readFile("assets/mark.svg")
	if err != nil {
		return nil, err
	}
	t.icon = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(icon))
	return t, nil
}

// readFile falls back to the file of package web if the operator has no file of this name. If the operator's file
// can't be read, it returns an error, so that the operator notices the mistake.
func (t *theme) readFile(name string) ([]byte, error) {
	if t.overrides != nil {
		content, err := fs.ReadFile(t.overrides, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return fs.ReadFile(web.Files, name)
}

// readTemplates prepares a template set for each page. It rejects an operator's file with an unknown name, because
// the name is probably misspelt. Each page has its own set, because all pages define a template of the same name for
// the layout. A set that has only built-in files is parsed when its page is first shown, because most servers never
// show most pages.
//
// The buttons for passkeys and providers are in separate files and not in the layout. An operator's layout may be
// older than these buttons, and the pages must work with it.
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
	parts := []string{"templates/layout.html", "templates/passkey.html", "templates/providers.html",
		"templates/admin.html"}
	for _, name := range names {
		if slices.Contains(parts, name) {
			continue
		}
		page := sync.OnceValues(func() (*template.Template, error) {
			return t.parseTemplates(append(slices.Clip(parts), name))
		})
		if t.overrides != nil {
			if _, err := page(); err != nil {
				return err
			}
		}
		t.templates[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return nil
}

// parseTemplates names the file in its errors, because the operator reads them in the log of a failed start.
func (t *theme) parseTemplates(fileNames []string) (*template.Template, error) {
	set := template.New("")
	for _, name := range fileNames {
		text, err := t.readFile(name)
		if err != nil {
			return nil, err
		}
		if _, err := set.New(path.Base(name)).Parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return set, nil
}
