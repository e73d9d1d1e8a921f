package main

import (
	"fmt"
	"strings"
)

// configCmd prints the settings as they are in effect: also when they are
// faulty, for then one wants to see where a value comes from.
type configCmd struct {
	JSON     bool `name:"json" xor:"form" help:"Print JSON."`
	Markdown bool `name:"markdown" xor:"form" help:"Print the documentation of the settings (docs/settings.md)."`
}

func (c *configCmd) Run(p *program) error {
	if c.Markdown {
		_, err := fmt.Fprint(p.out, settingsDocument())
		return err
	}
	var rows []settingRow
	for _, each := range p.settings.list() {
		rows = append(rows, settingRow{
			Name:    each.Name,
			Value:   each.text(),
			Origin:  p.sources.origin(each.Name),
			Default: each.Default,
		})
	}
	if err := printSettings(p, rows, c.JSON); err != nil {
		return err
	}
	return p.sources.faults(p.settings)
}

type settingRow struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Origin  string `json:"origin"`
	Default string `json:"default"`
}

func printSettings(p *program, rows []settingRow, asJSON bool) error {
	if asJSON {
		return p.printJSON(map[string]any{"settings": rows})
	}
	t := newTable("SETTING", "VALUE", "FROM", "DEFAULT")
	for _, row := range rows {
		t.row(row.Name, row.Value, row.Origin, row.Default)
	}
	return p.printTable(t)
}

// origin is where the value of a setting comes from.
func (s *sources) origin(name string) string {
	if origin := s.origins[name]; origin != "" {
		return origin
	}
	return "default"
}

// settingsDocument is docs/settings.md.
func settingsDocument() string {
	var b strings.Builder
	b.WriteString(`# Settings

<!-- Made by ` + "`watchword config --markdown`" + `. Change cmd/watchword/config.go instead. -->

Each setting is a flag of ` + "`watchword serve`" + ` (` + "`--public-url`" + `), an environment variable (` + "`WATCHWORD_PUBLIC_URL`" + `), and a key of
the YAML file (` + "`public-url`" + `) that ` + "`--config`" + ` or ` + "`WATCHWORD_CONFIG`" + ` names, in this order of precedence. A ` + "`.env`" + ` file in the
working directory is read as environment, below the real one. A secret can also be in a file, named by the variable with
` + "`_FILE`" + ` behind it (` + "`WATCHWORD_MASTER_KEY_FILE`" + `); one line end at the end of the file is not part of it.

An unknown name, a value that can't be read, or a dangerous combination stops the start (exit code 2) with one message for
each fault that says what to write instead. ` + "`watchword config`" + ` prints what is in effect and where it comes from.
`)
	settings := (&Settings{}).list()
	for _, group := range settingGroups {
		fmt.Fprintf(&b, "\n## %s\n\n| setting | default | meaning |\n| --- | --- | --- |\n", group.title)
		for _, each := range settings {
			if each.Group == group.key {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", each.Name, code(each.Default), each.meaning())
			}
		}
	}
	return b.String()
}

func code(text string) string {
	if text == "" {
		return "none"
	}
	return "`" + text + "`"
}

// meaning is the help with what the other tags say.
func (s setting) meaning() string {
	text := s.Help
	if s.OneOf != nil {
		text += " One of `" + strings.Join(s.OneOf, "`, `") + "`."
	}
	switch {
	case s.Min != "" && s.Max != "":
		text += fmt.Sprintf(" From %s to %s.", s.Min, s.Max)
	case s.Min != "":
		text += fmt.Sprintf(" At least %s.", s.Min)
	}
	if s.Secret != "" {
		text += " Secret: `" + variable(s.Name) + "_FILE` works too."
	}
	return strings.ReplaceAll(text, "|", `\|`)
}
