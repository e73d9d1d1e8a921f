package main

import (
	"embed"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// The scripts only pass the words of the command line to `watchword complete-words` and show
// the reply. complete makes every decision. The three shells therefore agree, and a script
// stays valid when the commands change.
//
//go:embed completion
var completionScripts embed.FS

// completionCmd prints a completion script, so that a package or a user can put it where the
// shell looks. It never changes the user's files.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCmd) Run(p *program) error {
	script, err := completionScripts.ReadFile("completion/watchword." + c.Shell)
	if err == nil {
		_, err = p.out.Write(script)
	}
	return err
}

// completeWordsCmd is a hidden command that only the completion scripts call. Its arguments are
// the words after the program name, up to the cursor. The last word may be empty.
type completeWordsCmd struct {
	Words []string `arg:"" optional:""`
}

// Run prints one candidate a line, followed by a tab and its help. The line ":files" instead
// tells the shell to complete file names. Neither candidates nor help contain a tab.
func (c *completeWordsCmd) Run(p *program, ctx *kong.Context) error {
	candidates, files := complete(ctx.Model.Node, p.settings.listSettings(), c.Words)
	for _, each := range candidates {
		fmt.Fprintf(p.out, "%s\t%s\n", each.word, each.help)
	}
	if files {
		fmt.Fprintln(p.out, ":files")
	}
	return nil
}

// candidate is a word that can replace the last word of the line.
type candidate struct{ word, help string }

// complete returns the candidates for the last word. The result files is true if the shell must
// complete the word as a file name. For a word that only the user knows, such as an address,
// there are no candidates.
func complete(root *kong.Node, settings []setting, words []string) (found []candidate, files bool) {
	if len(words) == 0 {
		words = []string{""}
	}
	line := cursor{node: root}
	for _, word := range words[:len(words)-1] {
		line.advance(word)
	}
	last := words[len(words)-1]
	if last == "=" && line.flag != nil {
		last = "" // bash passes the "=" of "--flag=" as a word
	}
	name, value, hasValue := strings.Cut(last, "=")
	// The order matters: the value of a flag may begin with a hyphen, and so may an argument
	// after "--". Their cases therefore come before the cases for flags.
	switch {
	case line.flag != nil:
		return valueCandidates(line.flag.Value, settings, "", last)
	case line.onlyArguments:
	case strings.HasPrefix(last, "-") && hasValue:
		if flag := line.findFlag(name); flag != nil {
			return valueCandidates(flag.Value, settings, name+"=", value)
		}
		return nil, false
	case strings.HasPrefix(last, "-"):
		return line.flagCandidates(last), false
	case line.argumentsRead == 0 && len(line.node.Children) > 0:
		return line.commandCandidates(last), false
	}
	if arguments := line.node.Positional; line.argumentsRead < len(arguments) {
		return valueCandidates(arguments[line.argumentsRead], settings, "", last)
	}
	return nil, false
}

// A cursor is the state of the parser of a command line. Each call of its method advance reads
// one more word.
type cursor struct {
	node          *kong.Node
	flag          *kong.Flag // the next word is its value
	argumentsRead int        // of node
	onlyArguments bool       // "--" was read
}

// advance reads the next word. An unknown command counts as an argument, so there are no
// candidates after it.
func (c *cursor) advance(word string) {
	switch {
	case c.flag != nil && word == "=": // of bash
	case c.flag != nil:
		c.flag = nil
	case c.onlyArguments:
		c.argumentsRead++
	case word == "--":
		c.onlyArguments = true
	case strings.HasPrefix(word, "-"):
		// A flag with "=" has its value already, and a bool takes no value.
		if flag := c.findFlag(word); flag != nil && !flag.IsBool() {
			c.flag = flag
		}
	default:
		for _, child := range c.node.Children {
			if child.Name == word {
				c.node, c.argumentsRead = child, 0
				return
			}
		}
		c.argumentsRead++
	}
}

// findFlag also searches the flags of the parent commands. It returns nil for an unknown flag.
func (c *cursor) findFlag(word string) *kong.Flag {
	for node := c.node; node != nil; node = node.Parent {
		for _, flag := range node.Flags {
			if "--"+flag.Name == word || flag.Short != 0 && "-"+string(flag.Short) == word {
				return flag
			}
		}
	}
	return nil
}

// flagCandidates includes settings only after serve, or if no other flag matches. Every command
// accepts all 60 settings, and they would otherwise hide the command's own flags.
func (c *cursor) flagCandidates(prefix string) []candidate {
	var own, settings []candidate
	for node := c.node; node != nil; node = node.Parent {
		for _, flag := range node.Flags {
			name := "--" + flag.Name
			switch {
			case !strings.HasPrefix(name, prefix) || flag.Tag.Hidden:
			case node.Parent == nil && flag.Group != nil:
				settings = append(settings, candidate{name, flag.Help})
			default:
				own = append(own, candidate{name, flag.Help})
			}
		}
	}
	if c.node.Name == "serve" || len(own) == 0 {
		own = append(own, settings...)
	}
	return own
}

// commandCandidates keeps the order of the help. It omits hidden commands, which only scripts
// call.
func (c *cursor) commandCandidates(prefix string) (found []candidate) {
	for _, child := range c.node.Children {
		if !child.Hidden && strings.HasPrefix(child.Name, prefix) {
			found = append(found, candidate{child.Name, child.Help})
		}
	}
	return found
}

// valueCandidates returns the allowed words of a flag or an argument that begin with the
// prefix. The oneof tag of a setting contains its allowed words. If there are no allowed words,
// the result files reports whether the shell completes file names. It is true for every flag,
// because no tag says which flags take a file. It is true for an argument only if the argument
// is named "file".
func valueCandidates(value *kong.Value, settings []setting, before, prefix string) (found []candidate, files bool) {
	words := strings.Split(value.Enum, ",")
	for _, each := range settings {
		if value.Flag != nil && each.Name == value.Name {
			words = each.OneOf
		}
	}
	known := false
	for _, word := range words {
		known = known || word != ""
		if word != "" && strings.HasPrefix(word, prefix) {
			found = append(found, candidate{before + word, ""})
		}
	}
	return found, !known && (value.Flag != nil || value.Name == "file")
}
