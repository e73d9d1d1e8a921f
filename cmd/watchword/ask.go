package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/watchword-auth/watchword"
)

// Questions to the person at the terminal.

// confirmation is the flag of commands that can't be undone.
type confirmation struct {
	Yes bool `name:"yes" short:"y" help:"Don't ask."`
}

// confirm asks before something that can't be undone. Without a terminal there
// is nobody to ask, and --yes is needed.
func (p *program) confirm(c confirmation, question string) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(p.in) {
		return faults{{"--yes", "is missing: " + question + " Nobody is at a terminal to confirm it. Write --yes."}}
	}
	fmt.Fprintf(p.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(p.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	fmt.Fprintln(p.err, "Nothing was changed.")
	return errReported
}

// maxPasswordBytes is more than any password that the engine takes.
const maxPasswordBytes = 8 << 10

// readPassword takes one line of standard input as it is, without its end.
func (p *program) readPassword() (watchword.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(p.in, maxPasswordBytes))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", faults{{"--password-stdin", "there is no password on standard input. Pipe one line into the command."}}
	}
	return watchword.Secret(line), nil
}

// askPassword asks for a new password, twice, without showing it.
func (p *program) askPassword() (watchword.Secret, error) {
	if !isTerminal(p.in) {
		return "", faults{{"--password", "asks at a terminal, and there is none. Write --password-stdin, or neither to mail a link."}}
	}
	var answers [2]string
	for i, question := range []string{"Password: ", "Again: "} {
		fmt.Fprint(p.err, question)
		typed, err := term.ReadPassword(int(p.in.Fd()))
		fmt.Fprintln(p.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		answers[i] = string(typed)
	}
	if answers[0] != answers[1] {
		return "", errors.New("the two passwords differ; run the command again")
	}
	return watchword.Secret(answers[0]), nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isTerminal(file)
}
