// Command embed runs its own routes and Watchword in one process, with one listener and one
// database.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/embedded"
	"github.com/watchword-auth/watchword/server"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	address, dir := cmp.Or(os.Getenv("ADDRESS"), "localhost:8080"), cmp.Or(os.Getenv("DATA_DIR"), "watchword-data")
	url := "http://" + address

	accounts, err := embedded.Open(ctx, dir, embedded.Options{Engine: watchword.Options{PublicURL: url}})
	if err != nil {
		return err
	}
	defer accounts.Close()

	mux := http.NewServeMux()
	mux.Handle("/", accounts) // /api/auth/…, /.well-known/…, the hosted pages
	mux.Handle("GET /hello", accounts.Require()(http.HandlerFunc(hello)))
	mux.Handle("GET /reports", accounts.Require("admin")(http.HandlerFunc(hello)))

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

func hello(w http.ResponseWriter, r *http.Request) {
	identity, _ := server.FromContext(r.Context())
	fmt.Fprintf(w, "Hello %s, your session is %s.\n", identity.User.Email, identity.Session.ID)
}
