package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/watchword-auth/watchword/verify"
)

// A service protects its routes.
func Example() {
	verifier, err := verify.New("https://id.example.com", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "the notes of", who.Subject())
	})
	mux := http.NewServeMux()
	mux.Handle("GET /notes", verifier.Require(list))
	mux.Handle("GET /all", verifier.RequireRole("admin")(list))
	mux.Handle("DELETE /account", verifier.RequireRecent(10*time.Minute)(list))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/notes", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="id.example.com"
}

// Where there is no HTTP, the token alone is verified.
func ExampleVerifier_Verify() {
	verifier, err := verify.New("https://id.example.com", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	handle := func(ctx context.Context, token string) error {
		who, err := verifier.Verify(ctx, token)
		switch {
		case errors.Is(err, verify.ErrUnavailable):
			return err // try again later
		case err != nil:
			return fmt.Errorf("refused: %w", err)
		}
		var email string
		if who.Claim("email", &email) {
			fmt.Println(who.Subject(), email, who.HasRole("admin"))
		}
		return nil
	}
	_ = handle
}

// A handler is tested without a server.
func ExampleNewIdentity() {
	who := verify.NewIdentity(verify.Claims{Subject: "ada", Roles: []string{"writer"}})
	r := httptest.NewRequest(http.MethodGet, "/notes", nil)
	r = r.WithContext(verify.NewContext(r.Context(), who))

	found, ok := verify.FromContext(r.Context())
	fmt.Println(found.Subject(), found.HasRole("writer"), ok)
	// Output: ada true true
}
