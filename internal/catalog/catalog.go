// Package catalog reads the texts of pages and mails in all languages. It handles files
// and languages and does not know what a text is for.
package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Default is the language that has all texts. Other languages fall back to it.
const Default = "en"

// A Catalog holds the texts of all languages. It never changes, so it is safe for concurrent use.
type Catalog struct {
	Languages []language.Tag // the first is Default
	Texts     []map[string]string
	matcher   language.Matcher
}

// Read reads the files texts/*.json in builtinFiles, and then those in operatorFiles, which may be nil. If a language
// lacks a text, it gets the text of the default language. Therefore a translation may be incomplete, and an
// operator's file may change a single text. In the default language, a text in defaultTexts replaces the built-in
// text, and a text in operatorFiles replaces both.
func Read(builtinFiles, operatorFiles fs.FS, defaultTexts map[string]string) (*Catalog, error) {
	names, err := fs.Glob(builtinFiles, "texts/*.json")
	if err != nil {
		return nil, err
	}
	if operatorFiles != nil {
		more, err := fs.Glob(operatorFiles, "texts/*.json")
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	// The default language comes first: the other languages start as copies of it, and the matcher
	// falls back to it.
	first := "texts/" + Default + ".json"
	slices.Sort(names)
	names = slices.Compact(names)
	names = append([]string{first}, slices.DeleteFunc(names, func(name string) bool { return name == first })...)
	c := &Catalog{}
	for _, name := range names {
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return nil, fmt.Errorf("%s: the file name must be a language, such as fr.json", name)
		}
		texts := map[string]string{}
		if len(c.Texts) > 0 {
			maps.Copy(texts, c.Texts[0])
		}
		if err := overrideTexts(texts, builtinFiles, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(c.Texts) == 0 {
			maps.Copy(texts, defaultTexts)
		}
		if err := overrideTexts(texts, operatorFiles, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.Languages, c.Texts = append(c.Languages, tag), append(c.Texts, texts)
	}
	c.matcher = language.NewMatcher(c.Languages)
	return c, nil
}

// Match returns the index of the best language for an Accept-Language header or a language tag. For an unsupported,
// invalid or empty value, it returns 0, the default language.
func (c *Catalog) Match(languages string) int {
	_, index := language.MatchStrings(c.matcher, languages)
	return index
}

// overrideTexts copies the texts of a file into texts. It returns no error if the file does not exist. Only the
// built-in file of the default language, which is read first, may add keys. An unknown key in another file is an
// error, because it is probably misspelled.
func overrideTexts(texts map[string]string, from fs.FS, name string) error {
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
