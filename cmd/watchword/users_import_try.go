package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// tryPassword runs `users import FILE --try EMAIL`. It asks for a known password and verifies
// it against the hash in the file. If the password does not fit, it names the flags with which
// the password would fit. It opens no database.
//
// If one known password fits, all parameters are right. The file alone does not show this.
// Without this check, an operator would learn of a wrong parameter from users who can't sign
// in. Exit code 0 means that the password fits with exactly the given flags, so that scripts
// can rely on it.
func (c *userImport) tryPassword(p *program, options userimport.Options) error {
	email, err := address.Parse(c.Try)
	if err != nil {
		return faults{{"--try", "is not an e-mail address. Write that of a user of the file whose password you know."}}
	}
	input, err := p.openInput(c.File)
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // the file was only read
	trial, err := userimport.NewTrial(input, options, email)
	if err != nil {
		return err
	}
	// The command asks for the password last. It therefore reports an unreadable file or a
	// missing account without a question.
	password, err := p.askKnownPassword(email)
	if err != nil {
		return err
	}
	verdict, err := trial.Try(password)
	switch {
	case err != nil:
		return err
	case verdict.Fits:
		p.say("The password of %s fits: %s. It will sign in.", email, verdict.Description)
		return nil
	// The exit code is 1 although the password fits, because an import with the given flags
	// would be wrong.
	case verdict.Other != nil:
		p.say("The password of %s fits with: %s. Use the same flags for the dry run and the import.",
			email, c.variantFlags(*verdict.Other))
		return errReported
	}
	// The hash does not show whether the password or a parameter is wrong, so the error names
	// both.
	return fmt.Errorf("the password of %s does not fit, neither as %s nor in any other known way. Is it the right "+
		"password? "+
		"If the system adds a pepper to passwords, name it with --pepper-file", email, verdict.Description)
}

// askKnownPassword asks once and does not show the password. Without a terminal, it reads a
// line of standard input. The prompt goes to standard error, so that standard output contains
// only the result.
func (p *program) askKnownPassword(email string) (watchword.Secret, error) {
	if isTerminal(p.in) {
		fmt.Fprintf(p.err, "Password of %s: ", email)
		typed, err := term.ReadPassword(int(p.in.Fd()))
		fmt.Fprintln(p.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return watchword.Secret(typed), nil
	}
	line, err := bufio.NewReader(io.LimitReader(p.in, maxPasswordBytes)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", faults{{"--try", "reads the password from standard input, which is empty. " +
			"Write it there as one line, or run the command at a terminal."}}
	}
	return watchword.Secret(line), nil
}

// variantFlags returns the flags for a variant that differs from the given flags. The operator
// can copy the text into the next command. The text also names a flag to remove ("no
// --prehash"), because the operator could otherwise keep a wrong flag.
func (c *userImport) variantFlags(v userimport.Variant) string {
	var flags []string
	switch {
	case v.Prehash == "" && c.PepperFile != "":
		flags = append(flags, "no --pepper-file")
	case v.Prehash == "" && c.Prehash != "":
		flags = append(flags, "no --prehash")
	case v.Prehash == passhash.Pepper:
		flags = append(flags, "--pepper-file "+c.PepperFile)
	case v.Prehash != "":
		flags = append(flags, "--prehash "+v.Prehash)
	}
	if v.SaltEncoding != "" {
		flags = append(flags, "--salt-encoding "+v.SaltEncoding)
	}
	if flags == nil {
		return "no --salt-encoding"
	}
	return strings.Join(flags, " ")
}
