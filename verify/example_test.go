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

// The middleware protects the routes of a service.
func Example() {
	verifier, err := verify.New("https://id.example.com", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "the notes of", identity.Subject())
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

// Code without HTTP calls Verify with the token.
func ExampleVerifier_Verify() {
	verifier, err := verify.New("https://id.example.com", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	handle := func(ctx context.Context, token string) error {
		identity, err := verifier.Verify(ctx, token)
		switch {
		case errors.Is(err, verify.ErrUnavailable):
			return err // the caller retries later
		case err != nil:
			return fmt.Errorf("refused: %w", err)
		}
		var email string
		if identity.Claim("email", &email) {
			fmt.Println(identity.Subject(), email, identity.HasRole("admin"))
		}
		return nil
	}
	_ = handle
}

// This test of a handler needs no server and no token.
func ExampleNewIdentity() {
	identity := verify.NewIdentity(verify.Claims{Subject: "ada", Roles: []string{"writer"}})
	r := httptest.NewRequest(http.MethodGet, "/notes", nil)
	r = r.WithContext(verify.NewContext(r.Context(), identity))

	found, ok := verify.FromContext(r.Context())
	fmt.Println(found.Subject(), found.HasRole("writer"), ok)
	// Output: ada true true
}
