// Package embedded opens a complete Watchword server inside another Go program: the store, the keys, the mail and the
// HTTP handler, in one call.
//
// It connects the packages as cmd/watchword does, but takes options instead of settings. It adds no rules.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/federation"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// Options configure Open. Only Engine.PublicURL is required.
type Options struct {
	// Engine configures the engine. Open sets two options if they are empty. It sets MasterKey from the file
	// master.key in the directory, and creates this file with mode 0600. It sets Mailer to a development mailbox in
	// the directory's folder mail.
	Engine watchword.Options

	// Server configures the HTTP handler. If Open has created the development mailbox, the handler shows it at
	// /dev/mail. Open sets Factors if it is nil, and sets Federation from Providers.
	Server server.Options

	// Providers are the external providers with which users can sign in. Create the list with providers.New of
	// package federation/providers. Default: none. If Server.Factors is set, the options of its factors.Manager must
	// contain the ids of these providers.
	//
	// Unstable: package federation may change in every release.
	Providers []federation.Provider
}

// Accounts is a running Watchword server. It is an http.Handler for the API, the documents under /.well-known and the
// hosted pages. It is safe for concurrent use.
type Accounts struct {
	*server.Server
	engine *watchword.Engine
	store  watchword.Store
	stop   func() // stops the background tasks and waits for them
}

// Open opens the store, applies migrations, starts the engine's background tasks and returns the handler.
//
// place is a directory, which contains a SQLite database, or a URL postgres://user:password@host/database. With a
// URL, the options must contain the master key and the mailer, because no directory exists for them.
//
// The background tasks (mail, sweeping, keys, the revocation feed) end with ctx or with Close. Open returns an error
// if an option is missing or unusable, or if the store is unavailable.
func Open(ctx context.Context, place string, o Options) (*Accounts, error) {
	store, err := openStore(ctx, place, &o)
	if err != nil {
		return nil, err
	}
	a, err := start(ctx, store, o)
	if err != nil {
		store.Close() //nolint:errcheck // only the first error is returned
		return nil, err
	}
	return a, nil
}

type database interface {
	watchword.Store
	Factors() factors.Store
	Federation() federation.Store
}

// openStore opens the store at place. If place is a directory, openStore also sets a missing master key and a missing
// mailer in the options.
func openStore(ctx context.Context, place string, o *Options) (database, error) {
	if isPostgres(place) {
		switch {
		case len(o.Engine.MasterKey) == 0:
			return nil, errors.New("embedded: PostgreSQL needs Options.Engine.MasterKey: 32 bytes, the same in every process")
		case o.Engine.Mailer == nil:
			return nil, errors.New("embedded: PostgreSQL needs Options.Engine.Mailer, such as smtp.New returns")
		}
		return postgres.Open(ctx, place)
	}
	if place == "" {
		return nil, errors.New("embedded: name a directory or a postgres:// URL")
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: create the directory: %w", err)
	}
	fromFile := len(o.Engine.MasterKey) == 0
	if err := completeFromDirectory(place, o); err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	store, err := sqlite.Open(ctx, filepath.Join(place, "watchword.db"))
	if err != nil || !fromFile {
		return store, err
	}
	o.Engine.MasterKey, err = watchword.FinishReseal(ctx, store, filepath.Join(place, masterKeyFile), o.Engine.MasterKey)
	if err != nil {
		store.Close() //nolint:errcheck // only the first error is returned
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return store, nil
}

const masterKeyFile = "master.key"

func isPostgres(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

func completeFromDirectory(dir string, o *Options) error {
	if len(o.Engine.MasterKey) == 0 {
		key, err := watchword.LoadOrCreateMasterKey(filepath.Join(dir, masterKeyFile))
		if err != nil {
			return err
		}
		o.Engine.MasterKey = key
	}
	if o.Engine.Mailer != nil {
		return nil
	}
	renderer, err := mail.NewRenderer(mail.Options{
		PublicURL: o.Engine.PublicURL, Product: o.Server.Product, Files: o.Server.Pages,
	})
	if err != nil {
		return err
	}
	box, err := devbox.Open(filepath.Join(dir, "mail"), renderer)
	if err != nil {
		return err
	}
	o.Engine.Mailer, o.Server.DevMail = box, box.Mails
	return nil
}

func start(ctx context.Context, store database, o Options) (*Accounts, error) {
	engine, err := watchword.New(ctx, store, o.Engine)
	if err != nil {
		return nil, err
	}
	if o.Server.Factors == nil {
		o.Server.Factors = factors.New(engine, store.Factors(),
			factors.Options{Issuer: o.Server.Product, Providers: providerIDs(o.Providers)})
	}
	if len(o.Providers) > 0 {
		o.Server.Federation, err = federation.New(engine, store.Federation(),
			federation.Options{Providers: o.Providers, Spare: sparePasskeyFinder(o.Server.Factors)})
	}
	var handler *server.Server
	if err == nil {
		handler, err = server.New(engine, o.Server)
	}
	if err != nil {
		engine.Close()
		return nil, err
	}
	background, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { engine.Run(background) })
	stop := func() { cancel(); running.Wait() }
	return &Accounts{Server: handler, engine: engine, store: store, stop: stop}, nil
}

// sparePasskeyFinder implements federation.Options.Spare. A user may disconnect the last provider if a passkey can
// sign in without a password.
func sparePasskeyFinder(m *factors.Manager) func(context.Context, federation.Tx, watchword.UserID) (string, error) {
	return func(ctx context.Context, tx federation.Tx, id watchword.UserID) (string, error) {
		return m.Spare(ctx, tx.(factors.Tx), id)
	}
}

// providerIDs returns the ids for factors.Options.Providers. The ids matter because a user who can sign in with a
// provider may delete the last passkey.
func providerIDs(all []federation.Provider) (ids []string) {
	for _, p := range all {
		ids = append(ids, p.Info().ID)
	}
	return ids
}

var _ http.Handler = (*Accounts)(nil)

// Engine returns the engine, for calls without HTTP.
func (a *Accounts) Engine() *watchword.Engine { return a.engine }

// Close stops the background tasks, waits for them, and closes the store. Shut down the HTTP server before Close.
func (a *Accounts) Close() error {
	a.stop()
	a.EndStreams()
	a.engine.Close()
	return a.store.Close()
}
