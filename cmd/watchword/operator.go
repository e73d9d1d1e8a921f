package main

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
)

// operatorName returns the name of the operator that events store: --as, or else the system
// user. Under sudo, the system user is the user who called sudo, because "root" does not name a
// person. The name is not a proof, because a person who may run the command can choose any
// name.
func (p *program) operatorName() string {
	return cmp.Or(p.as, os.Getenv("SUDO_USER"), systemUser())
}

// systemUser returns the name of the user of this process. A container often has no entry for
// its user, so the name is then the user's number.
func systemUser() string {
	if current, err := user.Current(); err == nil && current.Username != "" {
		return current.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
