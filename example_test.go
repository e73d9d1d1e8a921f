package watchword_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/server"
	"github.com/watchword-auth/watchword/store/sqlite"
)

// A program opens a store, creates the engine, runs its background work and serves its
// handler. Package embedded does the same in one call.
func Example() {
	engine, stop := exampleEngine()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx) // sends mail, sweeps rows, rotates keys, publishes the feed

	handler, err := server.New(engine, server.Options{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /reports", handler.Require("admin")(http.NotFoundHandler()))

	body := strings.NewReader(`{"email": "ada@example.com", "password": "seven purple otters"}`)
	signUp := httptest.NewRequest("POST", "http://localhost:8080/api/auth/register", body)
	signUp.Header.Set("Content-Type", "application/json")
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, signUp)
	fmt.Println(response.Code)
	// Output: 201
}

// The code in the package comment must be the code of Example, which compiles.
func TestCodeOfThePackageCommentCompiles(t *testing.T) {
	t.Parallel()
	example, code := readText(t, "example_test.go"), 0
	for line := range strings.Lines(readText(t, "doc.go")) {
		statement, isCode := strings.CutPrefix(line, "//\t")
		statement, _, _ = strings.Cut(strings.TrimSpace(statement), " // ")
		if !isCode || strings.HasPrefix(statement, "engine, err := watchword.New(") ||
			strings.HasSuffix(statement, ",") || statement == "})" {
			continue
		}
		code++
		if !strings.Contains(example, "\t"+statement) {
			t.Errorf("doc.go: %q is not in Example", statement)
		}
	}
	if code < 3 {
		t.Errorf("the test found only %d statements", code)
	}
}

// This example signs up and signs in without HTTP. The program compares the code of a refusal.
func ExampleEngine_Login() {
	engine, stop := exampleEngine()
	defer stop()
	ctx := context.Background()
	client := watchword.Client{UserAgent: "example/1.0", Device: "example"}

	_, err := engine.SignUp(ctx, watchword.SignUpRequest{
		Email: "ada@example.com", Password: "seven purple otters", Persistent: true, Client: client,
	})
	if err != nil {
		panic(err)
	}
	in, err := engine.Login(ctx, watchword.LoginRequest{
		Email: "Ada@Example.com", Password: "seven purple otters", Persistent: true, Client: client,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(in.User.Email, in.ExpiresIn, in.AccessToken)

	_, err = engine.Login(ctx, watchword.LoginRequest{Email: "ada@example.com", Password: "a guess", Client: client})
	fmt.Println(errors.Is(err, &watchword.Error{Code: watchword.CodeInvalidCredentials}))
	// Output:
	// ada@example.com 15m0s [redacted]
	// true
}

// A refresh exchanges the refresh token. The same token gives the same successor for the
// grace period, so a lost response does not sign the user out.
func ExampleEngine_Refresh() {
	engine, stop := exampleEngine()
	defer stop()
	ctx := context.Background()
	in, err := engine.SignUp(ctx, watchword.SignUpRequest{Email: "ada@example.com", Password: "seven purple otters"})
	if err != nil {
		panic(err)
	}
	first, err := engine.Refresh(ctx, in.RefreshToken, watchword.Client{})
	if err != nil {
		panic(err)
	}
	again, err := engine.Refresh(ctx, in.RefreshToken, watchword.Client{})
	if err != nil {
		panic(err)
	}
	fmt.Println(first.RefreshToken == again.RefreshToken)
	// Output: true
}

// The operator's methods need no identity, because the program has authenticated its operator.
func ExampleEngine_Operator() {
	engine, stop := exampleEngine()
	defer stop()
	ctx := context.Background()
	user, err := engine.Operator().CreateUser(ctx, watchword.NewUser{
		Email: "ada@example.com", Password: "seven purple otters", Roles: []string{"staff"},
	})
	if err != nil {
		panic(err)
	}
	user, err = engine.Operator().SetRoles(ctx, user.ID, []string{watchword.RoleAdmin})
	fmt.Println(user.Email, user.Roles, err)
	// Output: ada@example.com [admin] <nil>
}

// A package such as sqlite opens its Store. A program that needs more than the engine offers can read and write in a
// transaction.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "watchword")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "watchword.db")) // or postgres.Open
	if err != nil {
		panic(err)
	}
	defer store.Close() //nolint:errcheck // an error does not matter, because the store was only read

	err = store.View(ctx, func(tx watchword.Tx) error {
		_, err := tx.UserByEmail(ctx, "ada@example.com")
		return err
	})
	fmt.Println(errors.Is(err, watchword.ErrNotFound))
	// Output: true
}

// exampleEngine returns an engine on an empty SQLite database and a function that removes
// both.
func exampleEngine() (engine *watchword.Engine, stop func()) {
	dir, err := os.MkdirTemp("", "watchword")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "watchword.db"))
	if err != nil {
		panic(err)
	}
	const url = "http://localhost:8080"
	renderer, err := mail.NewRenderer(mail.Options{PublicURL: url})
	if err != nil {
		panic(err)
	}
	box, err := devbox.Open(filepath.Join(dir, "mail"), renderer)
	if err != nil {
		panic(err)
	}
	key, err := watchword.LoadOrCreateMasterKey(filepath.Join(dir, "master.key"))
	if err != nil {
		panic(err)
	}
	engine, err = watchword.New(ctx, store, watchword.Options{PublicURL: url, MasterKey: key, Mailer: box})
	if err != nil {
		panic(err)
	}
	return engine, func() {
		engine.Close()
		_ = store.Close()
		_ = os.RemoveAll(dir)
	}
}
