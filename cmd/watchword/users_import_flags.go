package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/passhash"
	"github.com/watchword-auth/watchword/internal/userfile"
)

// importHashing describes how the other system created its hashes, for files that do not say
// it. In most files, the hash itself contains this information. These flags are for bare
// digests and for additional secrets.
type importHashing struct {
	Prehash      string `name:"prehash" placeholder:"METHOD" help:"What the other system hashed instead of the password: ${prehashes}; with --pepper-file also ${keyedPrehashes}."`
	PepperFile   string `name:"pepper-file" placeholder:"FILE" help:"File with the pepper that was added to each password (Devise: config.pepper). It is stored encrypted."`
	SaltEncoding string `name:"salt-encoding" enum:",text,hex,base64" default:"" placeholder:"text|hex|base64" help:"How salts are encoded, where the form of the hash does not say it."`
}

// importColumns name columns of the file. Without these flags, the import looks for well-known
// names. A flag with an unknown column is an error, because the import would otherwise omit the
// column without a message.
type importColumns struct {
	Email         string   `name:"email" placeholder:"COLUMN" help:"Column with the address. Write MEMBER.MEMBER for a nested member in JSON, - for no column."`
	PasswordHash  string   `name:"password-hash" placeholder:"COLUMN" help:"Column with the hash of the password."`
	Salt          string   `name:"salt" placeholder:"COLUMN" help:"Column with the salt."`
	Name          string   `name:"name" placeholder:"COLUMN" help:"Column with the name."`
	FirstName     string   `name:"first-name" placeholder:"COLUMN" help:"Column with the first name."`
	LastName      string   `name:"last-name" placeholder:"COLUMN" help:"Column with the last name."`
	EmailVerified []string `name:"email-verified" aliases:"verified" sep:"none" placeholder:"COLUMN,…" help:"Columns that say whether, or since when, the address is verified. COLUMN=WORD,WORD: these words mean verified. Repeatable."`
	Locale        string   `name:"locale" placeholder:"COLUMN" help:"Column with the language, such as pt-BR."`
	Roles         string   `name:"roles" placeholder:"COLUMN" help:"Column with the roles."`
	CreatedAt     string   `name:"created-at" placeholder:"COLUMN" help:"Column with the time of sign-up."`
	Disabled      []string `name:"disabled" sep:"none" placeholder:"COLUMN,…" help:"Columns that say whether, since when or until when (COLUMN:until) the account is disabled. COLUMN=WORD,WORD: these words mean disabled. !COLUMN: the column means enabled. Repeatable."`
	Ignore        []string `name:"ignore" placeholder:"COLUMN,…" help:"Columns to ignore, although their names suggest a state of the account."`
	Temporary     string   `name:"temporary" placeholder:"COLUMN" help:"Column that says whether the password must be changed. Such an account is imported without a password."`
	Algorithm     string   `name:"hash-algorithm" placeholder:"COLUMN" help:"Column with the algorithm of the hash."`
	Factor        string   `name:"hash-factor" placeholder:"COLUMN" help:"Column with the iterations or the cost of the hash."`
	TOTP          string   `name:"totp" placeholder:"COLUMN" help:"Column with the secret of the authenticator app: base32, or an otpauth URI."`
	TOTPEnabled   string   `name:"totp-enabled" placeholder:"COLUMN" help:"Column that says whether, or since when, the app is confirmed. Without such a column, each secret counts."`
	SecondFactors string   `name:"second-factors" placeholder:"COLUMN" help:"Column with all second factors, as users export writes them."`
	Public        string   `name:"public-metadata" placeholder:"COLUMN" help:"Column with the metadata that the user reads: a JSON object."`
	Private       string   `name:"private-metadata" placeholder:"COLUMN" help:"Column with the metadata for operators: a JSON object."`
	ID            string   `name:"id" placeholder:"COLUMN" help:"Column with the id. A UUID is kept; for other ids see --id-map."`
}

// importFirebase are the parameters of a Firebase project: hash_config in its console. The
// defaults are those of Firebase. The signer key is a secret of the project: an attacker who
// has it can try passwords against stolen hashes.
type importFirebase struct {
	SignerKey     watchword.Secret `name:"firebase-signer-key" placeholder:"BASE64" help:"base64_signer_key of the Firebase project. Better in a file: WATCHWORD_FIREBASE_SIGNER_KEY_FILE."`
	SaltSeparator string           `name:"firebase-salt-separator" placeholder:"BASE64" default:"Bw==" help:"base64_salt_separator of the project (${default})."`
	Rounds        uint32           `name:"firebase-rounds" default:"8" help:"rounds of the project (${default})."`
	MemCost       uint32           `name:"firebase-mem-cost" default:"14" help:"mem_cost of the project (${default})."`
}

// importVars returns the names that the help of the command lists. The packages that accept
// these names provide the lists, so the help is always complete.
func importVars() kong.Vars {
	return kong.Vars{
		"systems":        strings.Join(userfile.Systems(), ", "),
		"prehashes":      strings.Join(passhash.Methods(false), ", "),
		"keyedPrehashes": strings.Join(passhash.Methods(true), ", "),
	}
}

// combinationFaults checks that --prehash and --pepper-file fit together. With a wrong
// combination, the import would store hashes that fit no password. A combination can be
// consistent and still wrong; only --try finds this.
func (h importHashing) combinationFaults() (problems faults) {
	keyed := slices.Contains(passhash.Methods(true), h.Prehash)
	switch {
	case h.Prehash != "" && !keyed && !slices.Contains(passhash.Methods(false), h.Prehash):
		all := append(passhash.Methods(false), passhash.Methods(true)...)
		problems = append(problems, fault{"--prehash", "is not known. Write one of " + strings.Join(all, ", ") + "."})
	case keyed && h.PepperFile == "":
		problems = append(problems, fault{"--prehash", "needs a secret. Name the file that holds it with --pepper-file."})
	case h.Prehash != "" && !keyed && h.PepperFile != "":
		problems = append(problems, fault{"--pepper-file",
			"does not go with this --prehash, which has no secret. Leave one of them out."})
	}
	return problems
}

// A file longer than maxPepperBytes is more likely a wrong path than a pepper.
const maxPepperBytes = 1024

// readPepper reads the file of --pepper-file, without the line end after the pepper. It returns
// "" without the flag. Only one line end is removed, because a pepper may end with spaces. A
// NUL or a second line means that the file is not a pepper.
func (h importHashing) readPepper() (watchword.Secret, error) {
	if h.PepperFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(h.PepperFile)
	if err != nil {
		return "", errors.New(plainFileError(err))
	}
	pepper := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if pepper == "" || len(pepper) > maxPepperBytes || strings.ContainsAny(pepper, "\n\x00") {
		return "", faults{{"--pepper-file", fmt.Sprintf("is empty, or not one line of at most %d bytes. Write the pepper "+
			"into it, and nothing else.", maxPepperBytes)}}
	}
	return watchword.Secret(pepper), nil
}

// flagFaults returns all wrong combinations of flags together. It runs before the file is
// opened. Otherwise an import could read for an hour before it reports a wrong combination.
func (c *userImport) flagFaults() error {
	var wrong faults
	if c.DryRun && c.IDMap != "" {
		wrong = append(wrong, fault{"--id-map", "does not go with --dry-run, which creates no accounts. Remove one of them."})
	}
	if c.IDMap == "-" {
		wrong = append(wrong, fault{"--id-map", "is not for standard output. Write a path, such as ids.csv."})
	}
	if c.Columns != "" && c.Format == userfile.JSON {
		wrong = append(wrong, fault{"--columns", "applies only to CSV: the columns of JSON have names. Remove it."})
	}
	wrong = append(wrong, c.importHashing.combinationFaults()...)
	if c.From != "" && !userfile.KnowsSystem(c.From) {
		wrong = append(wrong, fault{"--from",
			"is not a known system. Write one of " + strings.Join(userfile.Systems(), ", ") + ", or leave it out."})
	}
	// --try reads the password from standard input, so the file can't come from there too.
	if c.Try != "" && (c.IDMap != "" || c.File == "-") {
		wrong = append(wrong, fault{"--try",
			"imports nothing and reads the password from standard input. Write the path of the file, and remove --id-map."})
	}
	if problem := c.importFirebase.parameterProblem(); problem != "" {
		wrong = append(wrong, fault{"--firebase-signer-key", problem})
	}
	// A nil value of type faults would become an error that does not equal nil.
	if wrong != nil {
		return wrong
	}
	return nil
}

// parameterProblem finds a signer key that is not base64, and parameters out of bounds. It
// can't detect the key of another project. To check the parameters, it parses the signer key as
// the hash of an account, because both have the same length.
func (f importFirebase) parameterProblem() string {
	if f.SignerKey == "" {
		return ""
	}
	if _, err := f.passhashParameters().Adopt(string(f.SignerKey), "AAAA"); err != nil {
		return err.Error() + "."
	}
	return ""
}

func (f importFirebase) passhashParameters() passhash.Firebase {
	return passhash.Firebase{
		SignerKey: string(f.SignerKey), SaltSeparator: f.SaltSeparator, Rounds: f.Rounds, MemCost: f.MemCost,
	}
}

// importOptions reads the pepper file. The pepper stays in memory during the run, and the
// import stores it encrypted. JoinName joins first and last name, so that the dialect users can
// split them again for its front-ends.
func (c *userImport) importOptions() (userimport.Options, error) {
	pepper, err := c.readPepper()
	return userimport.Options{
		File:   c.fileOptions(),
		System: c.System, AssumeVerified: c.AssumeOK, DropBadHashes: c.NoHash, SkipBad: c.SkipBad,
		JoinName: users.JoinName,
		Hashing: userimport.Hashing{
			Prehash: c.Prehash, Pepper: pepper, SaltEncoding: c.SaltEncoding, Firebase: c.passhashParameters(),
		},
	}, err
}

// fileOptions translates the flags that say how to read the file. If a field has no flag, the
// import finds it by well-known column names.
func (c *userImport) fileOptions() userfile.Options {
	o := userfile.Options{Format: c.Format, Names: map[userfile.Field]string{}, Ignore: c.Ignore, From: c.From,
		List: c.List}
	switch c.Columns {
	case "":
	// An export of Firebase has no header line. Its columns are documented and fixed.
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
		userfile.EmailVerified: strings.Join(c.EmailVerified, "\n"), userfile.Locale: c.Locale,
		userfile.Roles: c.Roles, userfile.CreatedAt: c.CreatedAt,
		userfile.Disabled: strings.Join(c.Disabled, "\n"), userfile.ID: c.ID,
		userfile.Temporary: c.Temporary, userfile.Algorithm: c.Algorithm, userfile.Factor: c.Factor,
		userfile.TOTP: c.TOTP, userfile.TOTPEnabled: c.TOTPEnabled, userfile.SecondFactors: c.SecondFactors,
		userfile.PublicMetadata: c.Public, userfile.PrivateMetadata: c.Private,
	} {
		if name != "" {
			o.Names[field] = name
		}
	}
	return o
}
