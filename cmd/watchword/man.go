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
	_, err := io.WriteString(p.out, manualPage(ctx.Model, p.settings.listSettings(), thisBuild()))
	return err
}

// manualPage returns the page. The page depends only on the commands and on the build, because
// `make dist` must always produce the same bytes. It has no setting of the machine and no date.
func manualPage(app *kong.Application, settings []setting, b build) string {
	var page roff
	day, _, _ := strings.Cut(b.Date, "T")
	page.printf(".TH WATCHWORD 1 %q %q\n", day, "watchword "+b.Version)
	page.writeSection("NAME", `watchword \- authentication server, and the tool of its operator`)
	page.writeSection("SYNOPSIS", `.B watchword`, `.I command`, `[\fIarguments\fR] [\fIflags\fR]`)
	page.writeSection("DESCRIPTION")
	for i, paragraph := range strings.Split(app.Help, "\n\n") {
		if i > 0 {
			page.printf(".PP\n")
		}
		page.writeParagraph(paragraph)
	}
	page.writeSection("COMMANDS")
	for _, command := range app.Leaves(true) {
		// A group of commands, such as users, can't be run by itself, so the page omits it.
		page.writeCommand(command)
	}
	page.writeSection("FLAGS")
	page.writeParagraph("Every command accepts these flags, and the settings.")
	for _, flag := range app.Flags {
		// A flag with a group is a setting, and has its own section.
		if flag.Group == nil {
			page.writeEntry(flag.Summary(), flag.Help)
		}
	}
	page.writeSettings(settings)
	page.writeSection("EXIT STATUS")
	page.writeEntry("0", "The command is done.")
	page.writeEntry("1", "The command failed. Standard error says why.")
	page.writeEntry("2", "The command or a setting is wrong. Nothing has changed.")
	page.writeSection("SEE ALSO")
	page.writeParagraph("The documentation: https://github.com/watchword-auth/watchword/tree/main/docs")
	return page.String()
}

// roff builds a page. writeParagraph and writeEntry escape their arguments; printf and
// writeSection do not.
type roff struct{ strings.Builder }

func (r *roff) printf(format string, values ...any) { fmt.Fprintf(r, format, values...) }

// The lines are roff source and are not escaped.
func (r *roff) writeSection(title string, lines ...string) {
	r.printf(".SH %s\n", title)
	for _, line := range lines {
		r.printf("%s\n", line)
	}
}

// writeParagraph writes a zero-width character before a line that begins with a dot or an
// apostrophe. roff would otherwise interpret the line as a request.
func (r *roff) writeParagraph(text string) {
	for line := range strings.Lines(text) {
		line = escape(strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		r.printf("%s\n", line)
	}
}

// writeEntry prints the term in bold.
func (r *roff) writeEntry(term, help string) {
	r.printf(".TP\n\\fB%s\\fR\n", escape(term))
	r.writeParagraph(help)
}

// writeCommand omits the flags that are settings, because they have their own section.
func (r *roff) writeCommand(command *kong.Node) {
	words := command.FullPath()
	for _, argument := range command.Positional {
		words += " " + argument.Summary()
	}
	r.printf(".SS \"%s\"\n", escape(strings.ReplaceAll(words, `"`, `\(dq`)))
	r.writeParagraph(command.Help)
	for _, argument := range command.Positional {
		r.writeEntry(argument.Summary(), argument.Help)
	}
	for node := command; node.Parent != nil; node = node.Parent {
		for _, flag := range node.Flags {
			if !flag.Hidden {
				r.writeEntry(flag.Summary(), flag.Help)
			}
		}
	}
}

// writeSettings has the texts of docs/settings.md, in the same order.
func (r *roff) writeSettings(settings []setting) {
	r.writeSection("SETTINGS")
	r.writeParagraph("A setting is a flag, an environment variable, or a key of the YAML file. A secret can also be " +
		"in a file, whose path is in the variable with the suffix _FILE.")
	for _, group := range settingGroups {
		r.printf(".SS %q\n", group.title)
		for _, each := range settings {
			if each.Group != group.key {
				continue
			}
			// The text is written for a Markdown table, so its markup is removed.
			help := strings.NewReplacer("`", "", `\|`, "|").Replace(each.helpWithBounds())
			if each.Default != "" {
				help += " Default: " + each.Default + "."
			}
			r.writeEntry("--"+each.Name+", "+variableName(each.Name), help)
		}
	}
}

// escape keeps a backslash as it is, and hyphens as ASCII, so that flags can be copied.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}
