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

// Questions to the operator are written to standard error, so that standard output holds only
// results.

// confirmation adds --yes to a command that can't be undone. Commands embed it, so the flag has
// the same name and meaning everywhere.
type confirmation struct {
	Yes bool `name:"yes" short:"y" help:"Don't ask."`
}

// confirm asks before something that can't be undone. Without a terminal it requires --yes,
// because a script must confirm explicitly. It returns errReported if the operator declines. It
// asks before the change and outside of a transaction, so an operator who hesitates does not
// block a server.
func (p *program) confirm(c confirmation, question string) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(p.in) {
		return faults{{"--yes", "is missing: " + question + " Without a terminal, confirm with --yes."}}
	}
	fmt.Fprintf(p.err, "%s [y/N] ", question)
	// The default is no: an operator who only presses Enter has not read the question.
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

// maxPasswordBytes bounds the input. It is more than the longest password that the engine
// accepts.
const maxPasswordBytes = 8 << 10

// readPassword reads the first line of standard input and removes only the line end, because a
// password may begin or end with spaces. An empty line is an error, because a failed command in
// a pipe sends an empty line.
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

// askPassword asks for a new password twice and does not show it. It needs a terminal, because
// a password in a script belongs on standard input (readPassword). It asks twice, because a
// typing error could not be seen.
func (p *program) askPassword() (watchword.Secret, error) {
	if !isTerminal(p.in) {
		return "", faults{{"--password", "needs a terminal. Write --password-stdin, or neither flag to mail a link."}}
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

// isTerminal reports whether f is a terminal. The program asks questions only at a terminal,
// not in scripts.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// onTerminal is false for a buffer or a pipe, so tests see the same output as scripts.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isTerminal(file)
}
