package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/admin"
	"github.com/watchword-auth/watchword/internal/pgtest"
	"github.com/watchword-auth/watchword/metadata"
	"github.com/watchword-auth/watchword/store/postgres"
)

// These tests use a change with all parts: metadata, roles, state and name.

type metadataDatabase interface {
	database
	Metadata() metadata.Store
}

// A changeRig has an account with one session and metadata.
type changeRig struct {
	*admin.Manager
	objects *metadata.Manager
	admins  []admin.Caller
	id      watchword.UserID
}

func newChangeRig(t *testing.T, store database) changeRig {
	t.Helper()
	real := store
	if cut, ok := store.(*cutDatabase); ok {
		real = cut.database
	}
	m, both := newManagerWithAdmins(t, store)
	engine := m.Engine()
	user, err := engine.Operator().CreateUser(t.Context(),
		watchword.NewUser{Email: "bob@example.com", Name: "Bob", Roles: []string{"member"}})
	wantCode(t, err, "")
	_, err = engine.Operator().AdmitUser(t.Context(), watchword.AdmitRequest{User: user.ID, Methods: []string{"pwd"}})
	wantCode(t, err, "")
	objects := real.(metadataDatabase)
	return changeRig{m, metadata.New(engine, objects.Metadata()), both, user.ID}
}

func (r changeRig) withMetadata(p metadata.Patch, c admin.Change) admin.Change {
	c.With = func(ctx context.Context, tx watchword.Tx) ([]watchword.Event, error) {
		_, events, err := r.objects.PatchIn(ctx, tx, r.id, p)
		return events, err
	}
	return c
}

// describeAccount returns every value that a change can affect.
func (r changeRig) describeAccount(t *testing.T) string {
	t.Helper()
	account, err := r.User(t.Context(), r.id)
	wantCode(t, err, "")
	objects, err := r.objects.Get(t.Context(), r.id)
	wantCode(t, err, "")
	operator := r.Engine().Operator()
	events, err := operator.UserEvents(t.Context(), r.id, 100)
	wantCode(t, err, "")
	var kinds []string
	for _, ev := range slices.Backward(events) {
		kinds = append(kinds, string(ev.Kind)+":"+ev.Operator)
	}
	sessions, err := operator.UserSessions(t.Context(), r.id)
	wantCode(t, err, "")
	return fmt.Sprintf("%q %q disabled %t, metadata %d %s %s, %d sessions, events %q", account.Name, account.Roles,
		account.Disabled(), objects.Version, objects.Public, objects.Private, len(sessions), kinds)
}

const (
	bobBefore = `"Bob" ["member"] disabled false, metadata 0  , 1 sessions, events ["signup:" "login:"]`
	bobAfter  = `"Bobby" ["auditor"] disabled true, metadata 1 {"plan":"pro"} , 0 sessions, events ["signup:" "login:" ` +
		`"metadata_changed:ada@example.com" "roles_changed:ada@example.com" "account_disabled:ada@example.com" ` +
		`"renamed:ada@example.com"]`
)

func everyPart() admin.Change {
	return admin.Change{Name: new("Bobby"), Roles: &[]string{"auditor"}, Disabled: new(true)}
}

func proPlan() metadata.Patch {
	return metadata.Patch{Public: `{"plan":"pro"}`, IfMatch: `"0"`, Operator: "ada@example.com"}
}

func TestRefusedPartOfAChangeLeavesNothingOfTheOthers(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		r := newChangeRig(t, store)
		ctx := t.Context()
		long := func(c admin.Change) admin.Change { c.Name = new(string(make([]byte, 300))); return c }
		key := admin.Caller{Key: admin.ServiceKey{ID: "a", Name: "billing", Scopes: []string{"users:write"}}}
		for name, c := range map[string]struct {
			by     admin.Caller
			patch  metadata.Patch
			change admin.Change
			want   watchword.Code
		}{
			"the name, which is last": {r.admins[0], proPlan(), long(everyPart()), watchword.CodeValidationFailed},
			"the roles": {r.admins[0], proPlan(), admin.Change{Name: new("Bobby"), Roles: &[]string{"Not a role"}},
				watchword.CodeValidationFailed},
			"the version": {r.admins[0], metadata.Patch{Public: `{"plan":"pro"}`, IfMatch: `"7"`}, everyPart(),
				metadata.CodeVersionChanged},
			"the metadata": {r.admins[0], metadata.Patch{Public: `[]`}, everyPart(), watchword.CodeValidationFailed},
			"the scope":    {key, proPlan(), everyPart(), watchword.CodeInsufficientScope},
		} {
			_, err := r.Change(ctx, c.by, r.id, r.withMetadata(c.patch, c.change))
			if watchword.CodeOf(err) != c.want {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
			if got := r.describeAccount(t); got != bobBefore {
				t.Errorf("%s: a refusal has left %s", name, got)
			}
		}

		// Bob is the last administrator, so the check at the end of the transaction refuses the
		// change.
		operator := r.Engine().Operator()
		_, err := operator.SetRoles(ctx, r.id, []string{"admin"})
		wantCode(t, err, "")
		for _, other := range r.admins {
			wantCode(t, operator.DisableUser(ctx, other.User.ID), "")
		}
		before := r.describeAccount(t)
		for name, c := range map[string]admin.Change{
			"disabled": {Name: new("Bobby"), Disabled: new(true)}, "demoted": {Name: new("Bobby"), Roles: &[]string{}},
		} {
			_, err := r.Change(ctx, r.admins[0], r.id, r.withMetadata(proPlan(), c))
			if watchword.CodeOf(err) != watchword.CodeLastAdmin {
				t.Errorf("%s: got %v", name, err)
			}
			if got := r.describeAccount(t); got != before {
				t.Errorf("%s: a refusal has left %s", name, got)
			}
		}
		_, err = r.Change(ctx, r.admins[0], r.id, r.withMetadata(proPlan(), admin.Change{Name: new("Bobby")}))
		wantCode(t, err, "")
	})
}

// The size of a token is checked after the whole change, because shorter roles can compensate
// for longer metadata, and the other way round.
//
// JWT-17, JWT-21
func TestWholeChangeFitsIntoAToken(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		r := newChangeRig(t, store)
		plan := func(n int) metadata.Patch {
			return metadata.Patch{Public: `{"plan":"` + strings.Repeat("x", n) + `"}`}
		}
		roles := make([]string, 20)
		for i := range roles {
			roles[i] = fmt.Sprintf("r%02d", i) + strings.Repeat("x", 60)
		}
		few := []string{"member"}
		for i, c := range []struct {
			metadata int
			roles    *[]string
			fits     bool
		}{{2000, nil, true}, {2000, &roles, false}, {10, &roles, true}, {2000, nil, false}, {2000, &few, true}} {
			before := r.describeAccount(t)
			change := r.withMetadata(plan(c.metadata), admin.Change{Roles: c.roles})
			_, err := r.Change(t.Context(), r.admins[0], r.id, change)
			if c.fits {
				wantCode(t, err, "")
				continue
			}
			wantCode(t, err, watchword.CodeValidationFailed)
			if got := r.describeAccount(t); got != before {
				t.Errorf("%d: a refusal has left %s", i, got)
			}
		}
	})
}

// The store fails at each write of the transaction in turn, and finally after the commit. The account must get all
// parts of the change or none.
func TestStoreLostWithinAChangeLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, store database, _ string) {
		cut := &cutDatabase{database: store}
		r := newChangeRig(t, cut)
		ctx := t.Context()
		for cut.failingWrite = 1; ; cut.failingWrite++ {
			cut.writes = 0
			_, err := r.Change(ctx, r.admins[0], r.id, r.withMetadata(proPlan(), everyPart()))
			got := r.describeAccount(t)
			if cut.writes < cut.failingWrite { // all writes succeeded, so only the response to the commit was lost
				if !errors.Is(err, watchword.ErrUnavailable) || got != bobAfter {
					t.Errorf("lost commit: %v, %s", err, got)
				}
				break
			}
			if !errors.Is(err, watchword.ErrUnavailable) || got != bobBefore {
				t.Errorf("lost at write %d: %v, %s", cut.failingWrite, err, got)
			}
		}
		if cut.writes < 10 {
			t.Errorf("the transaction has only %d writes", cut.writes)
		}
		// The first repetition omits the metadata, so it has no effect. The second repetition includes the metadata.
		// It is refused, because its patch relies on the version before the first change.
		cut.failingWrite = 0
		_, err := r.Change(ctx, r.admins[0], r.id, everyPart())
		wantCode(t, err, "")
		_, err = r.Change(ctx, r.admins[0], r.id, r.withMetadata(proPlan(), everyPart()))
		wantCode(t, err, metadata.CodeVersionChanged)
		if got := r.describeAccount(t); got != bobAfter {
			t.Errorf("repeated: %s", got)
		}
	})
}

// PostgreSQL ends the connection after the metadata was changed. The account must get no part of the change.
func TestConnectionLostWithinAChangeLeavesNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Migrated(t, postgres.Migrate)
	store, err := postgres.Open(t.Context(), url)
	wantCode(t, err, "")
	r := newChangeRig(t, store)
	other, err := pgx.Connect(t.Context(), url)
	wantCode(t, err, "")
	t.Cleanup(func() { _ = other.Close(context.Background()) })
	change := r.withMetadata(proPlan(), everyPart())
	first, ended := change.With, 0
	change.With = func(ctx context.Context, tx watchword.Tx) ([]watchword.Event, error) {
		events, err := first(ctx, tx)
		if err != nil {
			return nil, err
		}
		_, err = other.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'idle in transaction'`)
		ended++
		return events, err
	}
	_, err = r.Change(t.Context(), r.admins[0], r.id, change)
	if !errors.Is(err, watchword.ErrUnavailable) || ended == 0 {
		t.Errorf("got %v after %d ended connections", err, ended)
	}
	if got := r.describeAccount(t); got != bobBefore {
		t.Errorf("a lost connection has left %s", got)
	}
	_, err = r.Change(t.Context(), r.admins[0], r.id, r.withMetadata(proPlan(), everyPart()))
	wantCode(t, err, "")
	if got := r.describeAccount(t); got != bobAfter {
		t.Errorf("tried again: %s", got)
	}
}

// A cutDatabase fails at one write of package admin.
type cutDatabase struct {
	database
	failingWrite int // the failing write, from 1; 0: none; too large: only the commit's response is lost
	writes       int
}

func (d *cutDatabase) Admin() admin.Store { return cutStore{d.database.Admin(), d} }

type cutStore struct {
	admin.Store
	cut *cutDatabase
}

func (s cutStore) Update(ctx context.Context, fn func(admin.Tx) error) error {
	err := s.Store.Update(ctx, func(tx admin.Tx) error { return fn(cutTx{tx, tx.(metadata.ObjectTx), s.cut}) })
	if err == nil && s.cut.failingWrite > 0 {
		err = errCut()
	}
	return err
}

func errCut() error { return fmt.Errorf("%w: cut by the test", watchword.ErrUnavailable) }

type cutTx struct {
	admin.Tx
	metadata.ObjectTx
	cut *cutDatabase
}

func (t cutTx) failChosenWrite() error {
	if t.cut.writes++; t.cut.writes == t.cut.failingWrite {
		return errCut()
	}
	return nil
}

func (t cutTx) InsertEvent(ctx context.Context, ev watchword.Event) error {
	if err := t.failChosenWrite(); err != nil {
		return err
	}
	return t.Tx.InsertEvent(ctx, ev)
}

func (t cutTx) SetRoles(ctx context.Context, id watchword.UserID, roles []string, at time.Time) error {
	if err := t.failChosenWrite(); err != nil {
		return err
	}
	return t.Tx.SetRoles(ctx, id, roles, at)
}

func (t cutTx) SetDisabled(ctx context.Context, id watchword.UserID, at time.Time) error {
	if err := t.failChosenWrite(); err != nil {
		return err
	}
	return t.Tx.SetDisabled(ctx, id, at)
}

func (t cutTx) SetName(ctx context.Context, id watchword.UserID, name string) error {
	if err := t.failChosenWrite(); err != nil {
		return err
	}
	return t.Tx.SetName(ctx, id, name)
}

func (t cutTx) EndSessions(
	ctx context.Context, id watchword.UserID, except watchword.SessionID, why watchword.EndReason, at time.Time,
) (int, error) {
	if err := t.failChosenWrite(); err != nil {
		return 0, err
	}
	return t.Tx.EndSessions(ctx, id, except, why, at)
}

func (t cutTx) DeleteMailTokens(ctx context.Context, id watchword.UserID, kinds ...watchword.MailKind) error {
	if err := t.failChosenWrite(); err != nil {
		return err
	}
	return t.Tx.DeleteMailTokens(ctx, id, kinds...)
}

func (t cutTx) HasAdmin(ctx context.Context) (bool, error) {
	if err := t.failChosenWrite(); err != nil {
		return false, err
	}
	return t.Tx.HasAdmin(ctx)
}

func (t cutTx) SetMetadata(
	ctx context.Context, id watchword.UserID, m metadata.Metadata, was int64,
) (bool, error) {
	if err := t.failChosenWrite(); err != nil {
		return false, err
	}
	return t.ObjectTx.SetMetadata(ctx, id, m, was)
}
