package main_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeSpan    = regexp.MustCompile("`(watchword [^`]*)`")
	commandLine = regexp.MustCompile(`^(?:\$ |[A-Z_]+=\S+ |sudo )*(watchword [a-z-].*)`)
	quoted      = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	// The rest of the line after one of these is not for the program.
	shellSyntax = regexp.MustCompile(`(^| )([|<>;&\\]|[0-9]?>|#|…|\.\.\.).*`)
)

// Every `watchword …` command in a Markdown file names a command and flags that exist.
func TestEveryCommandInTheDocsIsOneOfTheProgram(t *testing.T) {
	t.Parallel()
	commands := map[string]string{} // the file of each
	for _, file := range markdownFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range documentedCommands(string(text)) {
			commands[command] = file
		}
	}
	if len(commands) < 60 {
		t.Errorf("only %d commands were found", len(commands))
	}
	for command, file := range commands {
		// With --help, the program checks names and does not run the command.
		args := append(strings.Fields(command)[1:], "--help")
		out, err := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s: %v: %s", file, command, err, out)
		}
	}
}

// documentedCommands returns the commands of code spans and of lines in code blocks, without
// what the shell reads. Quoted arguments are replaced by one word.
func documentedCommands(text string) (commands []string) {
	add := func(command string) {
		command = quoted.ReplaceAllString(strings.Join(strings.Fields(command), " "), "QUOTED")
		if command = strings.TrimSpace(shellSyntax.ReplaceAllString(command, "")); command != "watchword" {
			commands = append(commands, command)
		}
	}
	for _, found := range codeSpan.FindAllStringSubmatch(text, -1) {
		add(found[1])
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if found := commandLine.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
			add(found[1])
		}
	}
	slices.Sort(commands)
	return slices.Compact(commands)
}

// markdownFiles returns the files of the project, without those of installed packages.
func markdownFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(checkout, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules", "build", "dist"}, entry.Name()):
			return fs.SkipDir
		case filepath.Ext(path) == ".md" && entry.Name() != "CHANGELOG.md":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
