package main

import (
	"context"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// Accounts from another system, in the order of the work:
//
//  1. The whole file is read and checked, against itself and against the database,
//     and every problem is said. A dry run ends here. A file with problems is not
//     begun with, unless --skip-bad leaves those accounts out.
//  2. It is read again and imported, some hundreds of accounts in a transaction.
//     Whatever ends it in between, the same command goes on: accounts that are
//     there count as done.
//
// Standard input can be read once, and is imported as it comes.

// userImport is the command.
type userImport struct {
	File string `arg:"" help:"CSV or JSON file; - is standard input."`

	DryRun   bool   `name:"dry-run" help:"Check everything, list all problems, change nothing."`
	SkipBad  bool   `name:"skip-bad" help:"Leave accounts with problems out and import the others."`
	IDMap    string `name:"id-map" placeholder:"FILE" help:"Write old id, new id and address of each account to this new CSV file."`
	Format   string `name:"format" enum:",csv,json" default:"" placeholder:"csv|json" help:"csv or json; without it, told from the content."`
	Columns  string `name:"columns" placeholder:"NAME,…" help:"Names of the columns of a CSV file without a header; firebase for those of Firebase."`
	System   string `name:"system" placeholder:"NAME" help:"Name of the other system, if one was imported before whose ids may be the same, such as 1, 2, 3."`
	AssumeOK bool   `name:"assume-verified" help:"Take all addresses for verified, whatever the file says; where it says since when, that stays."`
	NoHash   bool   `name:"drop-bad-hashes" help:"Import an account whose hash can't be checked without a password."`
	JSON     bool   `name:"json" help:"Print JSON."`
	Try      string `name:"try" placeholder:"EMAIL" help:"Ask for this user's password, say how the file keeps it, and import nothing. Without a terminal, the password is a line of standard input."`
	From     string `name:"from" placeholder:"NAME" help:"System that wrote the file, if it is not recognised: ${systems}."`
	List     string `name:"list" placeholder:"NAME" help:"Array of the accounts in a JSON object; NAME.NAME if it is nested."`

	importColumns
	importHashing
	importFirebase
}

// importHashing is how the other system made a hash, where the file does not say it.
type importHashing struct {
	Prehash      string `name:"prehash" placeholder:"METHOD" help:"What was hashed instead of the password: ${prehashes}; with --pepper-file also ${keyedPrehashes}."`
	PepperFile   string `name:"pepper-file" placeholder:"FILE" help:"File with the pepper that was mixed into each password (Devise: config.pepper). It is stored, sealed."`
	SaltEncoding string `name:"salt-encoding" enum:",text,hex,base64" default:"" placeholder:"text|hex|base64" help:"How salts are written, where the form of the hash does not say it."`

	pepper watchword.Secret // of PepperFile
}

// importColumns name columns of the file; without them, well-known names are.
type importColumns struct {
	Email         string   `name:"email" placeholder:"COLUMN" help:"Column with the address. Write MEMBER.MEMBER for what is nested in JSON, - for none."`
	PasswordHash  string   `name:"password-hash" placeholder:"COLUMN" help:"Column with the hash of the password."`
	Salt          string   `name:"salt" placeholder:"COLUMN" help:"Column with the salt."`
	Name          string   `name:"name" placeholder:"COLUMN" help:"Column with the name."`
	FirstName     string   `name:"first-name" placeholder:"COLUMN" help:"Column with the first name."`
	LastName      string   `name:"last-name" placeholder:"COLUMN" help:"Column with the last name."`
	EmailVerified []string `name:"email-verified" aliases:"verified" sep:"none" placeholder:"COLUMN,…" help:"Columns that say whether, or since when, the address is verified; COLUMN=WORD,WORD for words that mean it. Repeatable."`
	Roles         string   `name:"roles" placeholder:"COLUMN" help:"Column with the roles."`
	CreatedAt     string   `name:"created-at" placeholder:"COLUMN" help:"Column with the time of sign-up."`
	Disabled      []string `name:"disabled" sep:"none" placeholder:"COLUMN,…" help:"Columns that say whether, since when or until when (COLUMN:until) the account is disabled; COLUMN=WORD,WORD for words that mean it; !COLUMN if it says the opposite. Repeatable."`
	Ignore        []string `name:"ignore" placeholder:"COLUMN,…" help:"Columns that say nothing of the state of an account, whatever their names are."`
	Temporary     string   `name:"temporary" placeholder:"COLUMN" help:"Column that says whether the password has to be changed. Such an account is imported without a password."`
	Algorithm     string   `name:"hash-algorithm" placeholder:"COLUMN" help:"Column with the algorithm of the hash."`
	Factor        string   `name:"hash-factor" placeholder:"COLUMN" help:"Column with the iterations or the cost of the hash."`
	ID            string   `name:"id" placeholder:"COLUMN" help:"Column with the id. A UUID is kept; for others there is --id-map."`
}

// importFirebase is what a Firebase project hashes with: hash_config in its console.
type importFirebase struct {
	SignerKey     watchword.Secret `name:"firebase-signer-key" placeholder:"BASE64" help:"base64_signer_key of the Firebase project. Better in a file: WATCHWORD_FIREBASE_SIGNER_KEY_FILE."`
	SaltSeparator string           `name:"firebase-salt-separator" placeholder:"BASE64" default:"Bw==" help:"base64_salt_separator of the project (${default})."`
	Rounds        uint32           `name:"firebase-rounds" default:"8" help:"rounds of the project (${default})."`
	MemCost       uint32           `name:"firebase-mem-cost" default:"14" help:"mem_cost of the project (${default})."`
}

func (c *userImport) Run(ctx context.Context, p *program) error {
	if err := c.misuse(); err != nil {
		return err
	}
	if err := c.readPepper(); err != nil {
		return err
	}
	if c.Try != "" {
		return c.try(p)
	}
	input, err := p.openInput(c.File)
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // it was only read
	s, closeStack, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	defer closeStack()
	ctx, stop := untilSignal(ctx)
	defer stop()
	input.until(ctx.Done())

	work := &importing{
		userImport: c, program: p, engine: s.engine, input: input, report: newImportReport(p, c),
		bad: map[int]bool{}, twins: newTwins(),
	}
	if c.IDMap != "" {
		if work.idMap, err = newIDMap(c.IDMap); err != nil {
			return err
		}
		defer work.idMap.file.drop()
	}
	switch {
	case c.DryRun:
		return work.dryRun(ctx)
	case !input.twice:
		return work.run(ctx)
	}
	if err := work.rehearse(ctx); err != nil {
		return err
	}
	return work.run(ctx)
}

func (c *userImport) misuse() error {
	var wrong faults
	if c.DryRun && c.IDMap != "" {
		wrong = append(wrong, fault{"--id-map", "goes with an import, and --dry-run makes no account. Leave one of them out."})
	}
	if c.IDMap == "-" {
		wrong = append(wrong, fault{"--id-map", "is a file, not standard output. Write a path, such as ids.csv."})
	}
	if c.Columns != "" && c.Format == userfile.JSON {
		wrong = append(wrong, fault{"--columns", "is for CSV: the columns of JSON have names already. Leave it out."})
	}
	wrong = append(wrong, c.importHashing.faults()...)
	if c.From != "" && !userfile.KnowsSystem(c.From) {
		wrong = append(wrong, fault{"--from", "is no system that is known by name. Write one of " + strings.Join(userfile.Systems(), ", ") + ", or leave it out."})
	}
	if c.Try != "" && (c.IDMap != "" || c.File == "-") {
		wrong = append(wrong, fault{"--try", "imports nothing, and reads the password from standard input: write the path of the file, and no --id-map."})
	}
	if problem := c.importFirebase.problem(); problem != "" {
		wrong = append(wrong, fault{"--firebase-signer-key", problem})
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

// problem hashes nothing: it looks whether the project's parameters can be used,
// with the key itself for a hash, which has the right length.
func (f importFirebase) problem() string {
	if f.SignerKey == "" {
		return ""
	}
	if _, err := f.project().Adopt(string(f.SignerKey), "AAAA"); err != nil {
		return err.Error() + "."
	}
	return ""
}

func (f importFirebase) project() passhash.Firebase {
	return passhash.Firebase{
		SignerKey: string(f.SignerKey), SaltSeparator: f.SaltSeparator, Rounds: f.Rounds, MemCost: f.MemCost,
	}
}

// options are how to read the file.
func (c *userImport) options() userfile.Options {
	o := userfile.Options{Format: c.Format, Names: map[userfile.Field]string{}, Ignore: c.Ignore, From: c.From, List: c.List}
	switch c.Columns {
	case "":
	case "firebase":
		o.Columns = userfile.FirebaseColumns()
	default:
		for name := range strings.SplitSeq(c.Columns, ",") {
			o.Columns = append(o.Columns, strings.TrimSpace(name))
		}
	}
	for field, name := range map[userfile.Field]string{
		userfile.Email: c.Email, userfile.PasswordHash: c.PasswordHash, userfile.Salt: c.Salt,
		userfile.Name: c.Name, userfile.FirstName: c.FirstName, userfile.LastName: c.LastName,
		userfile.EmailVerified: strings.Join(c.EmailVerified, "\n"), userfile.Roles: c.Roles, userfile.CreatedAt: c.CreatedAt,
		userfile.Disabled: strings.Join(c.Disabled, "\n"), userfile.ID: c.ID,
		userfile.Temporary: c.Temporary, userfile.Algorithm: c.Algorithm, userfile.Factor: c.Factor,
	} {
		if name != "" {
			o.Names[field] = name
		}
	}
	return o
}
