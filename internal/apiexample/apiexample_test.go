package apiexample_test

import (
	"slices"
	"testing"
	"time"

	"github.com/watchword-auth/watchword/internal/apiexample"
)

type inner struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
}

type body struct {
	Email        string  `json:"email"`
	RefreshToken string  `json:"refreshToken,omitempty" doc:"Only sometimes"`
	DeviceToken  string  `json:"deviceToken,omitempty"`
	Delivery     string  `json:"delivery,omitempty" enum:"cookie,body"`
	Sessions     []inner `json:"sessions"`
}

func TestMembersNamesNestedMembers(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range apiexample.Members(body{}) {
		names = append(names, m.Name+": "+m.Type)
		if m.Doc == "" || m.Name == "refreshToken" && (m.Doc != "Only sometimes" || !m.Optional) {
			t.Errorf("%+v", m)
		}
	}
	want := []string{"email: text", "refreshToken: text", "deviceToken: text", "delivery: cookie or body",
		"sessions: list", "sessions[].id: text", "sessions[].createdAt: time (RFC 3339)"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if got := apiexample.Members(""); got != nil {
		t.Errorf("a text has members: %v", got)
	}
}

func TestResponseHasExamplesInTheOrderOfTheType(t *testing.T) {
	t.Parallel()
	got := apiexample.Response(inner{}, "https://id.example.com", "")
	const want = "{\n  \"id\": \"019355c1-0001-7000-8000-2f6c1d4a9b3e\",\n  \"createdAt\": \"2026-11-24T12:00:00Z\"\n}"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestCurlTakesTokensAndIDsFromTheShell(t *testing.T) {
	t.Parallel()
	type refresh struct {
		RefreshToken string `json:"refreshToken,omitempty"`
	}
	for want, c := range map[string]apiexample.Command{
		`curl "https://id.example.com/api/auth/me" \
  -H "Authorization: Bearer $ACCESS_TOKEN"`: {Method: "GET", URL: "https://id.example.com/api/auth/me", Bearer: true},
		`curl -X DELETE "https://id.example.com/api/auth/sessions/$SESSION_ID"`: {
			Method: "DELETE", URL: "https://id.example.com/api/auth/sessions/{id}"},
		`curl -X POST "https://id.example.com/refresh" \
  -b jar -c jar -H 'Origin: https://id.example.com' \
  -H 'Content-Type: application/json' \
  -d '{"refreshToken":"'"$REFRESH_TOKEN"'"}'`: {
			Method: "POST", URL: "https://id.example.com/refresh", Jar: "jar", Body: refresh{}},
	} {
		if got := apiexample.Curl(c); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
