// Command profiles runs Watchword in the same process as an application that has its own
// database. It creates a row for each new account, and records the end of each session.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/embedded" // also registers the driver of SQLite
	"github.com/watchword-auth/watchword/server"
)

const tables = `
	CREATE TABLE IF NOT EXISTS profiles (user_id TEXT PRIMARY KEY, name TEXT NOT NULL, greeting TEXT NOT NULL);
	CREATE TABLE IF NOT EXISTS endings (session_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, why TEXT NOT NULL);`

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	address, dir := cmp.Or(os.Getenv("ADDRESS"), "localhost:8080"), cmp.Or(os.Getenv("DATA_DIR"), "profiles-data")
	url := "http://" + address
	app, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer app.db.Close() //nolint:errcheck // an error loses no data: each statement is committed

	accounts, err := embedded.Open(ctx, dir, embedded.Options{Engine: watchword.Options{
		PublicURL:      url,
		OnSignup:       app.createProfile,
		OnSessionEnded: app.noteEnding,
	}})
	if err != nil {
		return err
	}
	defer accounts.Close() //nolint:errcheck // an error loses no data: all writes are committed

	mux := http.NewServeMux()
	mux.Handle("/", accounts)
	mux.Handle("GET /profile", accounts.Require()(http.HandlerFunc(app.profile)))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Printf("listening on %s", url)
	web := &http.Server{Handler: mux}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// An application keeps its own data, in its own file.
type application struct{ db *sql.DB }

func open(ctx context.Context, dir string) (application, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return application{}, err
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "application.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return application{}, err
	}
	_, err = db.ExecContext(ctx, tables)
	return application{db}, err
}

// createProfile is called at least once for each account, so it must succeed if the row exists already. If it returns
// an error, it is called again later.
func (a application) createProfile(ctx context.Context, u watchword.User) error {
	_, err := a.db.ExecContext(ctx, `INSERT INTO profiles (user_id, name, greeting) VALUES ($1, $2, 'Welcome')
		ON CONFLICT (user_id) DO NOTHING`, string(u.ID), u.Name)
	return err
}

func (a application) noteEnding(ctx context.Context, s watchword.Session) error {
	_, err := a.db.ExecContext(ctx, `INSERT INTO endings (session_id, user_id, why) VALUES ($1, $2, $3)
		ON CONFLICT (session_id) DO NOTHING`, string(s.ID), string(s.UserID), string(s.EndedWhy))
	return err
}

// profile shows the caller's row. If the first request arrives before createProfile was called, it gets a 404, and
// the front-end tries again.
func (a application) profile(w http.ResponseWriter, r *http.Request) {
	who, _ := server.FromContext(r.Context())
	var body struct{ Name, Greeting string }
	err := a.db.QueryRowContext(r.Context(), `SELECT name, greeting FROM profiles WHERE user_id = $1`,
		string(who.User.ID)).Scan(&body.Name, &body.Greeting)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "Your profile is being created. Try again in a second.", http.StatusNotFound)
	case err != nil:
		http.Error(w, "The database is not available.", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
}
