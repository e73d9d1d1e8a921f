package metadata_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/accesstoken"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/store/postgres"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const password = "correct horse battery"

// A rig has an engine whose access tokens contain claims from metadata.
type rig struct {
	*watchword.Engine
	*metadata.Manager
	store       watchword.Store
	postgresURL string // empty for SQLite
	user        watchword.User
	in          *watchword.SignIn
}

type realStore interface {
	watchword.Store
	Metadata() metadata.Store
}

type noMails struct{}

func (noMails) Send(context.Context, watchword.Message) error { return nil }

func onBothStores(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchword.db"))
		must(t, err)
		test(t, newRig(t, store))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Migrated(t, postgres.Migrate)
		store, err := postgres.Open(t.Context(), url)
		must(t, err)
		r := newRig(t, store)
		r.postgresURL = url
		test(t, r)
	})
}

func newRig(t *testing.T, store realStore) *rig {
	t.Helper()
	t.Cleanup(func() { _ = store.Close() })
	engine, err := watchword.New(t.Context(), store, watchword.Options{
		PublicURL: "https://id.example.com", MasterKey: []byte("a master key for tests, 32 bytes"), Mailer: noMails{},
		HashQueue: time.Minute, Rotation: watchword.RotationPolicy{Grace: time.Second},
		Claims: watchword.Claims{Computed: map[string]string{
			"plan": "@public.plan", "https://example.com/org": "@public.org.id", "text": "@public.text",
			"called": "@name"}},
	})
	must(t, err)
	t.Cleanup(engine.Close)
	r := &rig{Engine: engine, Manager: metadata.New(engine, store.Metadata()), store: store}
	r.user, err = engine.Operator().CreateUser(t.Context(),
		watchword.NewUser{Email: "ada@example.com", Name: "Ada", Password: password})
	must(t, err)
	r.in, err = engine.Login(t.Context(), watchword.LoginRequest{Email: "ada@example.com", Password: password})
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want watchword.Code) {
	t.Helper()
	if err == nil || watchword.CodeOf(err) != want {
		t.Fatalf("got error %v, want %s", err, want)
	}
}

func (r *rig) patch(t *testing.T, p metadata.Patch) metadata.Metadata {
	t.Helper()
	m, err := r.Patch(t.Context(), r.user.ID, p)
	must(t, err)
	return m
}

// refreshedClaims returns numbers as json.Number, so they keep their digits.
func (r *rig) refreshedClaims(t *testing.T) map[string]any {
	t.Helper()
	in, err := r.Refresh(t.Context(), r.in.RefreshToken, watchword.Client{})
	must(t, err)
	r.in = in
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(in.AccessToken), ".")[1])
	must(t, err)
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	must(t, decoder.Decode(&claims))
	return claims
}

func TestMetadataIsPatchedAndRead(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		none, err := r.Get(t.Context(), r.user.ID)
		must(t, err)
		if none != (metadata.Metadata{}) || none.ETag() != `"0"` {
			t.Errorf("at first: %+v", none)
		}
		r.patch(t, metadata.Patch{Public: `{"plan":"pro","seats":9007199254740993}`, Private: `{"note":"<owes>"}`})
		got := r.patch(t, metadata.Patch{Public: `{"plan":null,"since":"2026"}`, Operator: "ops"})
		want := metadata.Metadata{Version: 2, Public: `{"seats":9007199254740993,"since":"2026"}`, Private: `{"note":"<owes>"}`}
		if got != want {
			t.Errorf("got %+v", got)
		}
		if got = r.patch(t, metadata.Patch{Private: `{"note":"<owes>"}`}); got != want {
			t.Errorf("the same patch again: %+v", got)
		}
		who, err := r.Authenticate(t.Context(), r.in.AccessToken)
		must(t, err)
		if who.User.Metadata != want.Public {
			t.Errorf("the user reads %s", who.User.Metadata)
		}
		if got = r.patch(t, metadata.Patch{Public: `null`, Private: ` null `}); got != (metadata.Metadata{Version: 3}) {
			t.Errorf("emptied: %+v", got)
		}
		events, err := r.Operator().UserEvents(t.Context(), r.user.ID, 100)
		must(t, err)
		changes := 0
		for _, e := range events {
			if e.Kind == "metadata_changed" {
				changes++
			}
		}
		if changes != 3 {
			t.Errorf("%d events", changes)
		}
		_, err = r.Patch(t.Context(), "nobody", metadata.Patch{Public: `{}`})
		wantCode(t, err, watchword.CodeNotFound)
	})
}

func TestMetadataIsRefusedUnlessItIsASmallObject(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		kept := r.patch(t, metadata.Patch{Public: `{"a":1}`})
		text := func(n int) string { return `{"x":"` + strings.Repeat("x", n) + `"}` }
		for _, p := range []metadata.Patch{
			{Public: `[]`}, {Private: `"a"`}, {Public: `{"a":"\u0000"}`}, {Private: `{"a":"\ud800"}`},
			{Public: strings.Repeat(`{"a":`, 9) + `1` + strings.Repeat(`}`, 9)},
			{Private: text(8 << 10)}, {Private: text(16 << 10)}, {Public: text(4 << 10), Private: text(4 << 10)},
		} {
			_, err := r.Patch(t.Context(), r.user.ID, p)
			wantCode(t, err, watchword.CodeValidationFailed)
		}
		got, err := r.Get(t.Context(), r.user.ID)
		must(t, err)
		if got != kept {
			t.Errorf("a refused patch has left %+v", got)
		}
		r.patch(t, metadata.Patch{Private: text(8<<10 - 20)})
	})
}

func TestIfMatchPreventsLostUpdates(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		first := r.patch(t, metadata.Patch{Public: `{"n":0}`, IfMatch: `"0"`})
		r.patch(t, metadata.Patch{Public: `{"n":1}`, IfMatch: first.ETag()})
		for _, old := range []string{first.ETag(), `"0"`, `"7"`, `2`, `W/"2"`} {
			_, err := r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"n":9}`, IfMatch: old})
			wantCode(t, err, metadata.CodeVersionChanged)
		}
		r.patch(t, metadata.Patch{Public: `{"n":2}`, IfMatch: "*"})
		current, err := r.Get(t.Context(), r.user.ID)
		must(t, err)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[watchword.Code]int{}
		for i := range 12 {
			wg.Go(func() {
				_, err := r.Patch(context.Background(), r.user.ID,
					metadata.Patch{Public: fmt.Sprintf(`{"n":%d}`, 10+i), IfMatch: current.ETag()})
				code := watchword.Code("")
				if err != nil {
					code = watchword.CodeOf(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[code]++
			})
		}
		wg.Wait()
		if got[""] != 1 || got[metadata.CodeVersionChanged] != 11 {
			t.Errorf("%v", got)
		}
		// Without IfMatch, concurrent patches of different members must all succeed.
		for i := range 8 {
			wg.Go(func() {
				if _, err := r.Patch(context.Background(), r.user.ID,
					metadata.Patch{Private: fmt.Sprintf(`{"m%d":true}`, i)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		current, err = r.Get(t.Context(), r.user.ID)
		must(t, err)
		if strings.Count(current.Private, "true") != 8 {
			t.Errorf("%+v", current)
		}
	})
}

// JWT-21
func TestClaimsHavePublicMetadataFromTheNextRefresh(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		if claims := r.refreshedClaims(t); claims["plan"] != nil {
			t.Errorf("claims without metadata: %v", claims)
		}
		old := r.in.AccessToken
		r.patch(t, metadata.Patch{Public: `{"plan":"pro","org":{"id":9007199254740993},"text":"\u00e9<&>"}`,
			Private: `{"plan":"secret"}`})
		if _, err := r.Authenticate(t.Context(), old); err != nil {
			t.Errorf("the token of before: %v", err)
		}
		claims := r.refreshedClaims(t)
		if claims["plan"] != "pro" || claims["text"] != "é<&>" ||
			claims["https://example.com/org"] != json.Number("9007199254740993") {
			t.Errorf("claims %v", claims)
		}
		old = r.in.AccessToken
		r.patch(t, metadata.Patch{Public: `{"plan":null,"org":"none","text":["a",{"b":null}]}`, Now: true})
		_, err := r.Authenticate(t.Context(), old)
		wantCode(t, err, watchword.CodeTokenExpired)
		claims = r.refreshedClaims(t)
		if _, found := claims["plan"]; found || claims["https://example.com/org"] != nil ||
			fmt.Sprint(claims["text"]) != "[a map[b:<nil>]]" {
			t.Errorf("claims %v", claims)
		}
		if claims["sub"] != string(r.user.ID) {
			t.Errorf("sub %v", claims["sub"])
		}
	})
}

// A patch must not restore old roles, if it waits for a transaction that removes the user's roles.
func TestPatchDuringADemotionKeepsTheNewRoles(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		setRoles := func(tx watchword.Tx, roles ...string) error {
			return tx.SetRoles(t.Context(), r.user.ID, roles, time.Now())
		}
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error { return setRoles(tx, "admin") }))
		patched := make(chan error, 1)
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			if err := setRoles(tx); err != nil {
				return err
			}
			go func() {
				_, err := r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"plan":"pro"}`, Now: true})
				patched <- err
			}()
			r.waitForLock(t, patched)
			return nil
		}))
		must(t, <-patched)
		user, err := r.Operator().FindUserByID(t.Context(), r.user.ID)
		must(t, err)
		if len(user.Roles) != 0 || user.Metadata != `{"plan":"pro"}` {
			t.Errorf("after the demotion: roles %v, metadata %s", user.Roles, user.Metadata)
		}
	})
}

// waitForLock waits until a transaction waits for a lock, or until resultCh has a result. On SQLite it returns
// immediately, because the second transaction begins only after the first has ended.
func (r *rig) waitForLock(t *testing.T, resultCh chan error) {
	t.Helper()
	if r.postgresURL == "" {
		return
	}
	conn, err := pgx.Connect(t.Context(), r.postgresURL)
	must(t, err)
	defer conn.Close(t.Context())
	for waits := false; !waits && len(resultCh) == 0; {
		must(t, conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity "+
			"WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits))
	}
}

// JWT-21
func TestTokenAboveFourKibibytesIsRefusedAtWriteTime(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		_, err := r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"text":"` + strings.Repeat("x", 3500) + `"}`})
		wantCode(t, err, watchword.CodeValidationFailed)
		// The same text must be accepted in a member that is not a claim.
		r.patch(t, metadata.Patch{Public: `{"other":"` + strings.Repeat("x", 3500) + `"}`})
		r.patch(t, metadata.Patch{Public: `{"other":null,"text":"` + strings.Repeat("x", 1400) + `"}`})
		r.refreshedClaims(t)
		if n := len(r.in.AccessToken); n < 1900 || n > accesstoken.MaxSize {
			t.Errorf("a token of %d bytes", n)
		}
		// In the token, the character < may take more bytes than in the object. If the patch is accepted, the token
		// must still fit.
		_, err = r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"text":"` + strings.Repeat("<", 1500) + `"}`})
		if err == nil {
			r.refreshedClaims(t)
			if n := len(r.in.AccessToken); n > accesstoken.MaxSize {
				t.Errorf("a token of %d bytes", n)
			}
		}
	})
}

// Roles and metadata together must fit into a token. The check must assume the maximum length of name and address,
// because users can change them later without this check.
//
// JWT-17, JWT-21
func TestRolesAndMetadataTogetherFitIntoAToken(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		operator := r.Operator()
		must(t, operator.Rename(t.Context(), r.user.ID, "A"))
		r.patch(t, metadata.Patch{Public: `{"plan":"` + strings.Repeat("x", 500) + `"}`})
		roles := make([]string, 20)
		for i := range roles {
			roles[i] = fmt.Sprintf("r%02d", i) + strings.Repeat("x", 60)
		}
		_, err := operator.SetRoles(t.Context(), r.user.ID, roles)
		wantCode(t, err, watchword.CodeValidationFailed)
		few := roles[:6]
		_, err = operator.SetRoles(t.Context(), r.user.ID, few)
		must(t, err)
		_, err = r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"text":"` + strings.Repeat("y", 900) + `"}`})
		wantCode(t, err, watchword.CodeValidationFailed)
		must(t, operator.Rename(t.Context(), r.user.ID, strings.Repeat("\U0001F9A6", 200)))
		if claims := r.refreshedClaims(t); claims["plan"] == nil || len(r.in.AccessToken) > accesstoken.MaxSize {
			t.Errorf("a token of %d bytes with the claims %v", len(r.in.AccessToken), claims)
		}
	})
}

// A change that reduces the data must be accepted even if the account still has too much data for a token. The
// account may be older than this check, or than a change of the configured claims.
func TestAccountWithTooMuchDataForATokenCanBeReduced(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		text := func(n int) string { return `{"text":"` + strings.Repeat("x", n) + `"}` }
		must(t, r.store.Update(t.Context(), func(tx watchword.Tx) error {
			objects := tx.(metadata.ObjectTx)
			_, err := objects.SetMetadata(t.Context(), r.user.ID, metadata.Metadata{Version: 1, Public: text(4000)}, 0)
			if err != nil {
				return err
			}
			return tx.SetRoles(t.Context(), r.user.ID, []string{"admin", "staff"}, time.Now())
		}))
		r.patch(t, metadata.Patch{Private: `{"note":"owes"}`})
		r.patch(t, metadata.Patch{Public: text(3900)})
		_, err := r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: text(3901)})
		wantCode(t, err, watchword.CodeValidationFailed)
		_, err = r.Operator().SetRoles(t.Context(), r.user.ID, []string{"admin", "staff", "editor"})
		wantCode(t, err, watchword.CodeValidationFailed)
		_, err = r.Operator().SetRoles(t.Context(), r.user.ID, []string{"staff"})
		must(t, err)
	})
}

func TestMetadataEndsWithTheAccount(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.patch(t, metadata.Patch{Public: `{"plan":"pro"}`})
		must(t, r.Operator().DeleteUser(t.Context(), r.user.ID))
		got, err := r.Get(t.Context(), r.user.ID)
		must(t, err)
		if got != (metadata.Metadata{}) {
			t.Errorf("left: %+v", got)
		}
		_, err = r.Patch(t.Context(), r.user.ID, metadata.Patch{Public: `{"plan":"pro"}`})
		wantCode(t, err, watchword.CodeNotFound)
	})
}
