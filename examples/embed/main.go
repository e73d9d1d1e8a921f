// Command embed is a program with routes of its own, and the whole of Watchword
// in the same process: one listener, one database, no HTTP in between.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	address, dir := cmp.Or(os.Getenv("ADDRESS"), "localhost:8080"), cmp.Or(os.Getenv("DATA_DIR"), "watchword-data")
	url := "http://" + address

	key := must(watchword.LoadOrCreateMasterKey(dir + "/master.key"))
	store := must(sqlite.Open(ctx, dir+"/watchword.db"))
	defer store.Close()
	mailer := must(devbox.Open(dir+"/mail", must(mail.NewRenderer(mail.Options{PublicURL: url})))) // later: mail/smtp
	engine := must(watchword.New(ctx, store, watchword.Options{PublicURL: url, MasterKey: key, Mailer: mailer}))
	defer engine.Close()
	go engine.Run(ctx) // mail, sweeping, keys
	accounts := must(server.New(engine, server.Options{}))

	mux := http.NewServeMux()
	mux.Handle("/", accounts) // /api/auth/…, /.well-known/…, the pages that mails link to
	mux.Handle("GET /hello", accounts.Require()(http.HandlerFunc(hello)))
	mux.Handle("GET /reports", accounts.Require("admin")(http.HandlerFunc(hello)))

	listener := must(net.Listen("tcp", address))
	log.Printf("listening on %s", url)
	web := &http.Server{Handler: mux}
	context.AfterFunc(ctx, func() { _ = web.Close() })
	log.Print(web.Serve(listener))
}

func hello(w http.ResponseWriter, r *http.Request) {
	who, _ := server.FromContext(r.Context())
	fmt.Fprintf(w, "Hello %s, your session is %s.\n", who.User.Email, who.Session.ID)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
