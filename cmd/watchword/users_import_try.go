package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/address"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/password"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// users import FILE --try EMAIL: does a password that is known match the hash of the
// file, as the flags say that it was made? If not, which flags would fit? The database is
// not opened.

func (c *userImport) try(p *program) error {
	email, err := address.Parse(c.Try)
	if err != nil {
		return faults{{"--try", "is not an e-mail address. Write that of a user of the file whose password you know."}}
	}
	row, err := c.find(p, email)
	if err != nil {
		return err
	}
	if row.Temporary {
		return fmt.Errorf("%s has a temporary password in the file. The account is imported without a password", email)
	}
	hash, refused := c.hash(row)
	if hash == "" && refused == nil {
		return fmt.Errorf("%s has no password in the file", email)
	}
	given, err := p.askKnownPassword(email)
	if err != nil {
		return err
	}
	try := attempt{c, row, string(given)}
	if refused == nil && try.fits(hash, c.method(row)) {
		p.say("The password of %s fits: %s. It will sign in.", email, try.described(hash, c.method(row)))
		return nil
	}
	tried := map[string]bool{c.method(row) + string(hash): true}
	for _, v := range try.variants() {
		variant := *c
		variant.SaltEncoding = v.saltEncoding
		hash, err := variant.hash(row)
		again := tried[v.method+string(hash)]
		tried[v.method+string(hash)] = true
		if err == nil && hash != "" && !again && try.fits(hash, v.method) {
			p.say("The password of %s fits with: %s. Write the same for the dry run and the import.", email, v.flags(c))
			return errReported
		}
	}
	if refused != nil {
		return fmt.Errorf("%s: passwordHash: %w", email, refused)
	}
	return fmt.Errorf("the password of %s does not fit, as %s or in any other way that is known. Is it the right password? "+
		"If the system adds a pepper to passwords, name it with --pepper-file", email, try.described(hash, c.method(row)))
}

// find reads the file up to an account.
func (c *userImport) find(p *program, email string) (userfile.Row, error) {
	input, err := p.openInput(c.File)
	if err != nil {
		return userfile.Row{}, err
	}
	defer input.Close() //nolint:errcheck // it was only read
	reader, err := userfile.New(input, c.options())
	for err == nil {
		var row userfile.Row
		if row, err = reader.Next(); err != nil {
			break
		}
		if found, failed := address.Parse(row.Email); failed == nil && found == email {
			return row, nil
		}
	}
	if errors.Is(err, io.EOF) {
		return userfile.Row{}, fmt.Errorf("no account in %s has the address %s", input.name, email)
	}
	return userfile.Row{}, input.failed(err)
}

// askKnownPassword asks once, without showing the password; without a terminal it is a
// line of standard input.
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
		return "", faults{{"--try", "reads the password from standard input, which is empty. Write it there as one line, or run the command at a terminal."}}
	}
	return watchword.Secret(line), nil
}

// An attempt is a password for an account of the file.
type attempt struct {
	*userImport
	row   userfile.Row
	given string
}

// fits verifies as a sign-in does: the normal form of the password first, then what was
// typed.
func (a attempt) fits(hash watchword.Secret, method string) bool {
	encoded := string(hash)
	if method != "" {
		var err error
		if encoded, err = passhash.Prehashed(encoded, method, a.keyID(method)); err != nil {
			return false
		}
	}
	normal, err := password.Normalize(a.given)
	if err != nil {
		return false
	}
	for _, text := range []string{normal, a.given} {
		if ok, err := passhash.VerifyKeyed(encoded, text, []byte(a.pepper)); err == nil && ok {
			return true
		}
	}
	return false
}

// keyID stands for the id that the engine gives to the pepper.
func (a attempt) keyID(method string) string {
	for _, keyed := range passhash.Methods(true) {
		if keyed == method {
			return "00000000-0000-8000-8000-000000000000"
		}
	}
	return ""
}

func (a attempt) described(hash watchword.Secret, method string) string {
	text := hashKind(hash)
	switch {
	case method == passhash.Pepper:
		text += " of the password and the pepper"
	case method != "":
		text += " of the " + method + " of the password"
	}
	if a.SaltEncoding != "" {
		text += ", salt as " + a.SaltEncoding
	}
	return text
}

// A variant is a way in which the hash may have been made.
type variant struct{ method, saltEncoding string }

// variants are all but those that need a secret that is not there.
func (a attempt) variants() (all []variant) {
	salts := []string{"", passhash.SaltText, passhash.SaltHex, passhash.SaltBase64}
	methods := append([]string{a.row.Prehash, ""}, passhash.Methods(false)...)
	if a.pepper != "" {
		methods = append(passhash.Methods(true), methods...)
	}
	for _, method := range methods {
		for _, salt := range salts {
			all = append(all, variant{method, salt})
		}
	}
	return all
}

// flags are what to write for a variant.
func (v variant) flags(c *userImport) string {
	var flags []string
	switch {
	case v.method == "" && c.PepperFile != "":
		flags = append(flags, "no --pepper-file")
	case v.method == "" && c.Prehash != "":
		flags = append(flags, "no --prehash")
	case v.method == passhash.Pepper:
		flags = append(flags, "--pepper-file "+c.PepperFile)
	case v.method != "":
		flags = append(flags, "--prehash "+v.method)
	}
	if v.saltEncoding != "" {
		flags = append(flags, "--salt-encoding "+v.saltEncoding)
	}
	if flags == nil {
		return "no --salt-encoding"
	}
	return strings.Join(flags, " ")
}
