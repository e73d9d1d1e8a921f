package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints a manual page in the man macros of roff. All texts come from the tags of the
// commands and the settings, so the page can't differ from the program.
type manCmd struct{}

// Run reads no setting, so it works while a package is built.
func (c *manCmd) Run(p *program, ctx *kong.Context) error {
	_, err := io.WriteString(p.out, manualPage(ctx.Model, p.settings.list(), thisBuild()))
	return err
}

// manualPage returns the page. The page depends only on the commands and on the build, because
// `make dist` must always produce the same bytes. It has no setting of the machine and no date.
func manualPage(app *kong.Application, settings []setting, b build) string {
	var page roff
	day, _, _ := strings.Cut(b.Date, "T")
	page.printf(".TH WATCHWORD 1 %q %q\n", day, "watchword "+b.Version)
	page.section("NAME", `watchword \- authentication server, and the tool of its operator`)
	page.section("SYNOPSIS", `.B watchword`, `.I command`, `[\fIarguments\fR] [\fIflags\fR]`)
	page.section("DESCRIPTION")
	for i, paragraph := range strings.Split(app.Help, "\n\n") {
		if i > 0 {
			page.printf(".PP\n")
		}
		page.text(paragraph)
	}
	page.section("COMMANDS")
	for _, command := range app.Leaves(true) {
		// A group of commands, such as users, can't be run by itself, so the page omits it.
		page.command(command)
	}
	page.section("FLAGS")
	page.text("Every command accepts these flags, and the settings.")
	for _, flag := range app.Flags {
		// A flag with a group is a setting, and has its own section.
		if flag.Group == nil {
			page.entry(flag.Summary(), flag.Help)
		}
	}
	page.settings(settings)
	page.section("EXIT STATUS")
	page.entry("0", "The command is done.")
	page.entry("1", "The command failed. Standard error says why.")
	page.entry("2", "The command or a setting is wrong. Nothing has changed.")
	page.section("SEE ALSO")
	page.text("The documentation: https://github.com/watchword-auth/watchword/tree/main/docs")
	return page.String()
}

// roff builds a page. text and entry escape their arguments; printf and section do not.
type roff struct{ strings.Builder }

func (r *roff) printf(format string, values ...any) { fmt.Fprintf(r, format, values...) }

// section writes a heading. The parameter lines is roff source and is not escaped.
func (r *roff) section(title string, lines ...string) {
	r.printf(".SH %s\n", title)
	for _, line := range lines {
		r.printf("%s\n", line)
	}
}

// text writes one paragraph. If a line begins with a dot or an apostrophe, a zero-width
// character is written before it. roff would otherwise interpret the line as a request.
func (r *roff) text(text string) {
	for line := range strings.Lines(text) {
		line = escape(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		r.printf("%s\n", line)
	}
}

// entry writes a term in bold with its explanation.
func (r *roff) entry(term, help string) {
	r.printf(".TP\n\\fB%s\\fR\n", escape(term))
	r.text(help)
}

// command writes a command with its arguments and its own flags.
func (r *roff) command(command *kong.Node) {
	words := command.FullPath()
	for _, argument := range command.Positional {
		words += " " + argument.Summary()
	}
	r.printf(".SS \"%s\"\n", escape(strings.ReplaceAll(words, `"`, `\(dq`)))
	r.text(command.Help)
	for _, argument := range command.Positional {
		r.entry(argument.Summary(), argument.Help)
	}
	for node := command; node.Parent != nil; node = node.Parent {
		for _, flag := range node.Flags {
			if !flag.Hidden {
				r.entry(flag.Summary(), flag.Help)
			}
		}
	}
}

// settings writes the texts of docs/settings.md, in the same order.
func (r *roff) settings(settings []setting) {
	r.section("SETTINGS")
	r.text("A setting is a flag, an environment variable, or a key of the YAML file. A secret can also be in a file, " +
		"whose path is in the variable with the suffix _FILE.")
	for _, group := range settingGroups {
		r.printf(".SS %q\n", group.title)
		for _, each := range settings {
			if each.Group != group.key {
				continue
			}
			// The text is written for a Markdown table, so its markup is removed.
			help := strings.NewReplacer("`", "", `\|`, "|").Replace(each.meaning())
			if each.Default != "" {
				help += " Default: " + each.Default + "."
			}
			r.entry("--"+each.Name+", "+variable(each.Name), help)
		}
	}
}

// escape keeps a backslash as it is, and hyphens as ASCII, so that flags can be copied.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}
