package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/seal"
	"github.com/watchword-auth/watchword/internal/weborigin"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/mail/smtp"
)

// This file creates a running engine from the settings. It is the only place that chooses the
// implementations of the engine's interfaces: the store (SQLite or PostgreSQL) and the mailer
// (SMTP or the development mailbox).

// A stack is an open store with its engine and mailer.
type stack struct {
	store      database
	engine     *watchword.Engine
	operator   watchword.Operator // records the operator's name in events
	mailer     watchword.Mailer
	devMailbox *devbox.Box // nil if mail-url is set
}

// close ends the hash workers first, because they may still use the store. Callers defer it
// directly after opening, so that a failed command also releases the SQLite file.
func (s *stack) close() {
	s.engine.Close()
	s.store.Close() //nolint:errcheck // every transaction has been committed
}

// openOrCreate works like openWithLog, but without a log, because commands print their results.
func (p *program) openOrCreate(ctx context.Context) (*stack, error) {
	return p.openWithLog(ctx, slog.New(slog.DiscardHandler))
}

// openExisting is for a command that changes existing data. It works like openOrCreate, but
// creates no database. A wrong --data-dir is therefore an error and not a new, empty database.
func (p *program) openExisting(ctx context.Context) (*stack, error) {
	if err := p.requireDatabase(); err != nil {
		return nil, err
	}
	return p.openOrCreate(ctx)
}

// requireDatabase checks the settings, and that the SQLite file exists. It does not connect to
// PostgreSQL, because opening the store reports a missing database.
func (p *program) requireDatabase() error {
	if err := p.sources.allFaults(p.settings); err != nil {
		return err
	}
	if !p.settings.usesPostgres() && isMissing(p.settings.databasePath()) {
		return fmt.Errorf("there is no database at %s. Start `watchword serve` once, or write the right --data-dir",
			p.settings.databasePath())
	}
	return nil
}

// openWithLog checks the settings, creates a missing directory, master key or database,
// migrates and returns an engine. The caller closes the stack. If a step fails, openWithLog
// closes everything that earlier steps opened. The master key is created before the database.
// After a crash between these steps, the next start uses the key. If the database were created
// first, a crash would leave tables without their key.
func (p *program) openWithLog(ctx context.Context, log *slog.Logger) (*stack, error) {
	if err := p.sources.allFaults(p.settings); err != nil {
		return nil, err
	}
	master, err := p.settings.prepareMasterKey()
	if err != nil {
		return nil, err
	}
	s := &stack{}
	if err := s.openMail(p.settings); err != nil {
		return nil, err
	}
	if s.store, err = p.settings.openDatabase(ctx); err != nil {
		return nil, err
	}
	// An interrupted reseal can leave a second key file. FinishReseal then returns the key that
	// opens the store. A key in the setting master-key has no file, so only the operator can
	// replace it.
	if p.settings.MasterKey == "" {
		if master, err = watchword.FinishReseal(ctx, s.store, p.settings.masterKeyPath(), master); err != nil {
			s.store.Close() //nolint:errcheck // the first error is more useful
			return nil, err
		}
	}
	options := p.settings.engineOptions()
	options.MasterKey, options.Mailer, options.Log = master, s.mailer, log
	if s.engine, err = watchword.New(ctx, s.store, options); err != nil {
		s.store.Close() //nolint:errcheck // the first error is more useful
		return nil, err
	}
	s.operator = s.engine.Operator().As(p.operatorName())
	return s, nil
}

// prepareMasterKey returns the master key, and creates the directories that the settings need.
// It creates a key only if there is no database. A new key can't decrypt the keys of an
// existing database, and the missing key may still be in a backup.
//
// Directories get the mode 0700, because the files in them are secrets. Existing directories
// keep their mode, because an operator may have chosen it. `watchword doctor` reports a
// directory that other users can read. The key file is created exclusively, so two processes
// that start at the same time use the same key.
func (s *Settings) prepareMasterKey() (master []byte, err error) {
	for _, dir := range s.neededDirectories() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create the data directory: %w", err)
		}
	}
	if s.MasterKey != "" {
		return seal.ParseMaster(string(s.MasterKey))
	}
	if !isMissing(s.databasePath()) && isMissing(s.masterKeyPath()) {
		return nil, s.missingMasterKeyError()
	}
	master, _, err = seal.LoadOrCreate(s.masterKeyPath())
	return master, err
}

// neededDirectories returns the directories that the program writes to. With PostgreSQL, a
// master key and a mail server, the list is empty, and the working directory may be read-only.
func (s *Settings) neededDirectories() (dirs []string) {
	if s.MasterKey == "" || s.MailURL == "" {
		dirs = append(dirs, s.DataDir)
	}
	if !s.usesPostgres() {
		dirs = append(dirs, filepath.Dir(s.databasePath()))
	}
	return dirs
}

// missingMasterKeyError is for a database without its master key. The secrets in the database
// can't be decrypted without this key, so the program must not create a new key.
func (s *Settings) missingMasterKeyError() error {
	return fmt.Errorf("the master key %s is missing, and another key does not open %s. Restore it from a backup, or "+
		"write --master-key", s.masterKeyPath(), s.databaseName())
}

// isMissing reports whether the path does not exist. After any other error, such as a missing
// permission, isMissing returns false, and opening the path then reports the error. Otherwise
// the program could create a second database elsewhere.
func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// openMail sets the mailer: SMTP if mail-url is set, otherwise the development mailbox in the
// data directory. A mailer is always set, so a server without mail-url works at once. Outside
// of development, mailURLProblem refuses a missing mail-url.
func (s *stack) openMail(settings *Settings) (err error) {
	renderer, err := settings.newMailRenderer()
	if err != nil {
		return err
	}
	if settings.MailURL == "" {
		s.devMailbox, err = devbox.Open(filepath.Join(settings.DataDir, "mail"), renderer)
		s.mailer = s.devMailbox
		return err
	}
	s.mailer, err = settings.newSMTPSender()
	return err
}

// Mails use the same name, files and colours as the pages.
func (s *Settings) newMailRenderer() (*mail.Renderer, error) {
	return mail.NewRenderer(mail.Options{PublicURL: s.PublicURL, Product: s.ProductName, Files: s.operatorFiles()})
}

// operatorFiles returns the operator's own files for pages and mails (pages-dir). It returns
// nil if the program should use the built-in files.
func (s *Settings) operatorFiles() fs.FS {
	if s.PagesDir == "" {
		return nil
	}
	return os.DirFS(s.PagesDir)
}

// newSMTPSender opens no connection; the first mail or `watchword doctor` opens one.
func (s *Settings) newSMTPSender() (*smtp.Sender, error) {
	renderer, err := s.newMailRenderer()
	if err != nil {
		return nil, err
	}
	return smtp.New(smtp.Options{URL: s.MailURL, From: s.MailFrom, Renderer: renderer})
}

// masterKeyPath returns the path of the file in which the program stores a master key. A reseal
// appends suffixes to this path, so all keys of an installation are in one directory.
func (s *Settings) masterKeyPath() string { return filepath.Join(s.DataDir, "master.key") }

// engineOptions converts the settings to options of the engine. The caller adds the master key,
// the mailer and the log. If an option has a setting, engineOptions always sets the option, so
// the engine's own default has no effect. A test compares the defaults of the settings with
// those of the engine.
func (s *Settings) engineOptions() watchword.Options {
	return watchword.Options{
		PublicURL:      s.PublicURL,
		LinkOrigins:    slices.DeleteFunc(s.frontEnds(), weborigin.IsApp),
		Issuer:         s.Issuer,
		Audience:       s.Audience,
		AccessTTL:      s.AccessTTL,
		SigningAlg:     s.SigningAlg,
		SigningSecret:  s.SigningSecret,
		Claims:         s.tokenClaims(),
		Rotation:       watchword.RotationPolicy{Grace: s.RefreshGrace, Clean: int64(s.RotationClean)},
		ReuseEndsAll:   s.ReuseEnds == "all",
		Sessions:       watchword.SessionPolicy{Idle: s.SessionIdle, Max: s.SessionMax},
		MaxSessions:    s.MaxSessions,
		Signup:         watchword.SignupMode(s.Signup),
		NoVerifyMail:   s.VerifyMail == "off",
		SecondFactor:   s.factorPolicy(),
		StepUpAge:      s.StepUpAge,
		RememberDevice: s.RememberDevice,
		PasswordMin:    s.PasswordMin,
		PasswordWords:  append(slices.Clone(s.PasswordWords), s.ProductName),
		HashAlg:        s.HashAlg,
		HashCost:       s.HashCost,
		HashWorkers:    s.hashWorkers(),
		HashQueue:      s.HashQueue,
		VerifyTTL:      s.VerifyTTL,
		ResetTTL:       s.ResetTTL,
		Limits:         s.engineLimits(),
	}
}

// newFactorManager returns the manager of second factors. Authenticator apps show the product
// name or, without one, the host of the public URL. Apps get the name only from the QR code, so
// a later change affects neither existing entries in apps nor their codes.
func (s *Settings) newFactorManager(on *stack) *factors.Manager {
	return factors.New(on.engine, on.store.Factors(), factors.Options{
		EnrolmentOff: s.SecondFactor == "off",
		Issuer:       s.ProductName,
		// Passkeys work at the public URL and at front-ends of the same domain.
		NoPasskeys: s.Passkeys == "off",
		RPID:       s.PasskeyRPID,
		Origins:    s.frontEnds(),
		Providers:  s.providerIDs(),
	})
}

// newAdminManager sets only the options that have a setting: admin-acr and step-up-age.
func (s *Settings) newAdminManager(on *stack) *admin.Manager {
	return admin.New(on.engine, on.store.Admin(), admin.Options{ACR: s.AdminACR, StepUpAge: s.StepUpAge})
}

// hashWorkers returns the number of hash workers. The default (hash-workers=0) leaves one core
// free, so that refreshes and verifications stay fast while passwords are hashed. A machine
// with one core has one worker, and hashing delays other requests. hashWorkersProblem bounds
// the setting.
func (s *Settings) hashWorkers() int {
	if s.HashWorkers > 0 {
		return s.HashWorkers
	}
	return max(usableProcessors(os.Getenv).usableCores()-1, 1)
}

// tokenClaims converts the setting claims. claimProblem has checked the form, and the engine
// defines the computed values. The result has maps, because the order of claims has no meaning
// in a token.
func (s *Settings) tokenClaims() watchword.Claims {
	claims := watchword.Claims{Static: map[string]string{}, Computed: map[string]string{}}
	for _, claim := range s.Claims {
		key, value, _ := strings.Cut(claim, "=")
		switch {
		case claim == "email":
			claims.Email = true
		case claim == "name":
			claims.Name = true
		case strings.HasPrefix(value, "@"):
			claims.Computed[key] = value
		default:
			claims.Static[key] = value
		}
	}
	return claims
}

// engineLimits converts the rate limits. Each is a separate setting, so that an operator can
// change one and keep the others. A rate limit of the engine that has no setting stays zero.
// The engine then uses its own default.
func (s *Settings) engineLimits() watchword.Limits {
	if s.Limits == "off" {
		return watchword.Unlimited()
	}
	return watchword.Limits{
		FailedPasswords:   s.LimitFailedPassword,
		LoginPerClient:    s.LimitLogin,
		SignupPerClient:   s.LimitSignup,
		MailPerClient:     s.LimitMail,
		MailPerAddress:    s.LimitMailAddress,
		RefreshPerSession: s.LimitRefreshSession,
		RefreshPerClient:  s.LimitRefreshClient,
	}
}
