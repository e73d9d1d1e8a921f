// Command pocketbase is PocketBase with durable commits, for lab/bench. By default, PocketBase opens SQLite with
// synchronous=NORMAL, which can lose the last commits in a power failure. This command uses synchronous=FULL. All
// other settings are those of PocketBase.
//
// The command is a separate module, because PocketBase and Watchword need different versions of the same packages.
package main

import (
	"log/slog"
	"net/http"
	"os"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
)

func main() {
	app := pocketbase.NewWithConfig(pocketbase.Config{DBConnect: connectDurably, HideStartBanner: true})
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil // the installer would open a browser
		e.Router.GET("/settings", func(r *core.RequestEvent) error {
			reported, err := readPragmas(app)
			if err != nil {
				return err
			}
			return r.JSON(http.StatusOK, reported)
		})
		return e.Next()
	})
	if err := app.Start(); err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}

// connectDurably is core.DefaultDBConnect with synchronous(FULL) instead of NORMAL.
func connectDurably(path string) (*dbx.DB, error) {
	return dbx.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"+
		"&_pragma=journal_size_limit(200000000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"+
		"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)")
}

// readPragmas returns the settings of SQLite, as the connection that PocketBase uses for writes reports them.
func readPragmas(app core.App) (map[string]string, error) {
	reported := map[string]string{}
	for _, name := range []string{"journal_mode", "synchronous"} {
		var value string
		if err := app.NonconcurrentDB().NewQuery("PRAGMA " + name).Row(&value); err != nil {
			return nil, err
		}
		reported[name] = value
	}
	return reported, nil
}
