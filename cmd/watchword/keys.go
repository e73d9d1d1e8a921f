package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// keysCmd shows and rotates keys, and replaces the master key. Running servers notice a
// rotation by themselves, but not a new master key. No command shows a secret or a private key.
// There is no command to export keys for a backup, because the database contains the keys.
type keysCmd struct {
	List   keyList   `cmd:"" help:"List keys and what each does now."`
	Rotate keyRotate `cmd:"" help:"Let the next key take over, without a restart and without a failed verification."`
	Reseal keyReseal `cmd:"" help:"Replace the master key. Stop every server first."`
}

// keyList shows every key that the store still has. Retired keys stay until the last token that
// they signed has expired.
type keyList struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the keys without their secrets. It returns an error for a wrong master key,
// because the operator would otherwise believe that this key opens the store. It reads the keys
// from the store, so it also shows a rotation that another server has just made.
func (c *keyList) Run(ctx context.Context, p *program) error {
	s, err := p.openToRead(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys, err := s.operator.Keys(ctx)
	if err != nil {
		return err
	}
	return p.printKeys(keys, c.JSON)
}

// keyRotate replaces the signing key, for example because the key may have leaked. The next key
// was published in advance, so it usually signs at once. If verifiers have not had time to
// fetch the next key, it signs later. keyRotate also publishes the key for the next rotation.
// Without the command, servers rotate at the end of each period.
type keyRotate struct {
	Use  string `arg:"" optional:"" enum:"sign,refresh" default:"sign" help:"sign (access tokens) or refresh (refresh tokens)."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run prints the keys after the rotation, with the time from which the new key signs. Tokens of
// the old key stay valid until they expire.
func (c *keyRotate) Run(ctx context.Context, p *program) error {
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	keys, err := s.operator.RotateKeys(ctx, watchword.KeyUse(c.Use))
	if err != nil {
		return err
	}
	return p.printKeys(keys, c.JSON)
}

// keyReseal encrypts every sealed value with a new master key in one transaction. The keys
// themselves stay the same, so tokens, sessions and remembered devices stay valid.
type keyReseal struct {
	To string `name:"to" placeholder:"FILE" help:"Write the new master key to this file, which must not exist. Needed if master-key is set."`
	confirmation
}

// Run writes the new master key to disk before it encrypts the store with the new key. After a
// crash, one of the two keys therefore opens the store. Run asks the operator after the checks,
// so that a confirmed command does not fail for a reason that a check could find.
func (c *keyReseal) Run(ctx context.Context, p *program) error {
	inFile := p.settings.MasterKey == ""
	switch {
	case inFile && c.To != "":
		return faults{{"--to", "is for a master key in a setting. This master key is in the data directory, and is " +
			"replaced there. Remove --to."}}
	case !inFile && c.To == "":
		return faults{{"--to", "is missing: only you can change the setting master-key. Write the path of a new file for " +
			"the new master key."}}
	}
	// A running server would encrypt new keys with the old master key, and no server could
	// decrypt them later.
	if err := p.refuseInUse(ctx); err != nil {
		return err
	}
	s, err := p.openExisting(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := p.confirm(c.confirmation,
		"Replace the master key? Every server on this store has to be stopped."); err != nil {
		return err
	}
	if !inFile {
		return c.resealTo(ctx, p, s)
	}
	path := p.settings.masterKeyPath()
	// The old key is copied first, because existing backups of the database need it.
	kept, err := seal.KeepOld(path, time.Now())
	if err != nil {
		return err
	}
	master, err := seal.CreateNext(path)
	if err != nil {
		return err
	}
	if err := s.operator.Reseal(ctx, master); err != nil {
		return err
	}
	// Promote replaces the key file. If the program stops before this line, FinishReseal does
	// this at the next start.
	if err := seal.Promote(path); err != nil {
		return err
	}
	p.say("The master key in %s is new. Older backups need the old key, %s: delete it together with these backups.", path,
		kept)
	return nil
}

// refuseInUse refuses an SQLite database that another program has open. It can't detect a
// server on PostgreSQL, or a server that starts right after the check. Against these, only the
// operator's confirmation protects the database. Its question therefore says again that every
// server has to be stopped.
func (p *program) refuseInUse(ctx context.Context) error {
	path := p.settings.databasePath()
	if p.settings.usesPostgres() || isMissing(path) {
		return nil
	}
	alone, err := sqlite.OpenSource(ctx, path)
	if errors.Is(err, sqlite.ErrInUse) {
		return fmt.Errorf("%s is in use: stop its server and every other program that has it open, then run this again", path)
	}
	if err != nil {
		return err
	}
	return alone.Close()
}

// resealTo replaces a master key that is in a setting. It writes the new key to the file in
// --to, and the operator copies it into the setting. The file is created before the store
// changes, and is kept after a failure. If the reseal failed, the key in the file opens no
// store, and the operator can delete the file.
func (c *keyReseal) resealTo(ctx context.Context, p *program, s *stack) error {
	master, err := seal.Create(c.To)
	if err != nil {
		return err
	}
	if err := s.operator.Reseal(ctx, master); err != nil {
		return err
	}
	p.say("The new master key is in %s. Set master-key to this key on every server, then start the servers. "+
		"Older backups need the old key.", c.To)
	return nil
}

// keyView is a key in JSON, without its secret. A missing time is null, because scripts do not
// know Go's zero time.
type keyView struct {
	ID          string           `json:"id"`
	Use         watchword.KeyUse `json:"use"`
	Alg         string           `json:"alg"`
	Number      int              `json:"number"`
	State       string           `json:"state"`
	PublishedAt *time.Time       `json:"publishedAt"`
	ActiveFrom  *time.Time       `json:"activeFrom"`
	DropAt      *time.Time       `json:"dropAt"`
}

// printKeys prints keys without their private part, which no command shows. Ids of signing keys
// are public: they are in the header of each token.
func (p *program) printKeys(keys []watchword.KeyInfo, asJSON bool) error {
	if asJSON {
		views := make([]keyView, len(keys))
		for i, k := range keys {
			views[i] = keyView{k.ID, k.Use, k.Alg, k.Number, k.State, jsonTime(k.PublishedAt), jsonTime(k.ActiveFrom),
				jsonTime(k.DropAt)}
		}
		return p.printJSON(map[string]any{"keys": views})
	}
	t := newTable("USE", "NUMBER", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "DROPPED AT", "ID")
	for _, k := range keys {
		t.addRow(string(k.Use), fmt.Sprint(k.Number), k.Alg, k.State, tableTime(k.PublishedAt), tableTime(k.ActiveFrom),
			tableTime(k.DropAt),
			k.ID)
	}
	return p.printTable(t)
}
