package userimport_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/accountimport"
	"github.com/watchword-auth/watchword/cmd/internal/userimport"
	"github.com/watchword-auth/watchword/dialect/users"
	"github.com/watchword-auth/watchword/internal/sqlitetest"
	"github.com/watchword-auth/watchword/internal/userfile"
	"github.com/watchword-auth/watchword/mail"
	"github.com/watchword-auth/watchword/mail/devbox"
	"github.com/watchword-auth/watchword/store/sqlite"
)

const bcryptHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

// The database of the engine is an empty SQLite database.
func newEngine(t *testing.T) *watchword.Engine {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlitetest.Path(t, sqlite.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the database is temporary
	const publicURL = "http://localhost:8080"
	renderer, err := mail.NewRenderer(mail.Options{PublicURL: publicURL})
	if err != nil {
		t.Fatal(err)
	}
	mailer, err := devbox.Open(t.TempDir(), renderer)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := watchword.New(t.Context(), store, watchword.Options{
		PublicURL: publicURL, MasterKey: make([]byte, 32), Mailer: mailer,
	})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// A recorder is an Observer that records its calls.
type recorder struct {
	phases   []userimport.Phase
	problems []string
	ended    int
}

func (r *recorder) Begin(p userimport.Phase) { r.phases = append(r.phases, p) }
func (r *recorder) Progress(int64, int)      {}
func (r *recorder) End()                     { r.ended++ }
func (r *recorder) Problem(at userfile.Place, p userimport.Problem) {
	r.problems = append(r.problems, at.String()+": "+p.String())
}

type idMap struct {
	ids  map[string]watchword.UserID
	kept bool
}

func (m *idMap) Add(oldID string, u watchword.User) error { m.ids[oldID] = u.ID; return nil }
func (m *idMap) Keep() error                              { m.kept = true; return nil }

func openText(t *testing.T, name, text string) *userimport.Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	input, err := userimport.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { input.Close() })
	return input
}

func TestImportAfterCheckCountsTheSameAccounts(t *testing.T) {
	t.Parallel()
	engine, options := newEngine(t), userimport.Options{JoinName: users.JoinName,
		IDMap: &idMap{ids: map[string]watchword.UserID{}}}
	const file = "id,email,firstName,lastName,password\n1,ada@example.com,Ada,Lovelace," + bcryptHash +
		"\n2,bob@example.com,Bob,,\n"
	checked, err := userimport.New(accountimport.New(engine), openText(t, "users.csv", file), options,
		&recorder{}).Check(t.Context())
	if err != nil || checked.Done != 2 || checked.NoPassword != 1 || checked.Passwords["bcrypt"] != 1 ||
		checked.Imported {
		t.Fatalf("check: %+v, %v", checked, err)
	}
	shown := &recorder{}
	imported,
		err := userimport.New(accountimport.New(engine), openText(t, "users.csv", file), options,
		shown).Import(t.Context())
	if err != nil || imported.Done != 2 || imported.IDsNew != 2 || !imported.Imported {
		t.Fatalf("import: %+v, %v", imported, err)
	}
	if len(shown.phases) != 2 || shown.ended != 2 || shown.problems != nil {
		t.Errorf("observed %+v, want two passes and no problem", shown)
	}
	ada, err := engine.Operator().FindUser(t.Context(), "ada@example.com")
	if err != nil || ada.Name != "Ada Lovelace" {
		t.Errorf("account %+v, %v", ada, err)
	}
	if ids := options.IDMap.(*idMap); !ids.kept || ids.ids["1"] != ada.ID || len(ids.ids) != 2 {
		t.Errorf("id map %+v, want both ids, kept", ids)
	}
	again, err := userimport.New(accountimport.New(engine), openText(t, "users.csv", file), options,
		&recorder{}).Import(t.Context())
	if err != nil || again.Done != 0 || again.Existing != 2 {
		t.Errorf("second import: %+v, %v", again, err)
	}
}

func TestImportWithAProblemImportsNothing(t *testing.T) {
	t.Parallel()
	engine, shown, ids := newEngine(t), &recorder{}, &idMap{ids: map[string]watchword.UserID{}}
	const file = "email,password\nada@example.com," + bcryptHash + "\nbob@,\nADA@example.com,\n"
	report, err := userimport.New(accountimport.New(engine), openText(t, "users.csv", file),
		userimport.Options{IDMap: ids},
		shown).Import(t.Context())
	if err == nil || report.Bad != 2 || report.Imported || ids.kept {
		t.Errorf("report %+v, %v, id map kept: %t", report, err, ids.kept)
	}
	want := []string{"line 3: email: not an e-mail address: bob@",
		"line 4: email: the same as on line 2: ada@example.com"}
	if fmt.Sprint(shown.problems) != fmt.Sprint(want) {
		t.Errorf("problems %q, want %q", shown.problems, want)
	}
	if _, err := engine.Operator().FindUser(t.Context(),
		"ada@example.com"); watchword.CodeOf(err) != watchword.CodeNotFound {
		t.Errorf("the account without a problem: %v, want none", err)
	}
	report, err = userimport.New(accountimport.New(engine), openText(t, "users.csv", file),
		userimport.Options{SkipBad: true},
		shown).Import(t.Context())
	if err != nil || report.Done != 1 || report.Bad != 2 {
		t.Errorf("with SkipBad: %+v, %v", report, err)
	}
}

func TestStoppedCheckSaysThatNothingWasChanged(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	report, err := userimport.New(accountimport.New(newEngine(t)), userimport.Stdin(read), userimport.Options{},
		&recorder{}).Import(ctx)
	if !errors.Is(err, userimport.ErrStopped) || !report.IsEmpty() {
		t.Errorf("an idle pipe: %+v, %v, want ErrStopped", report, err)
	}
	rows := "email\n" + strings.Repeat("ada@example.com\n", 2000)
	report, err = userimport.New(accountimport.New(newEngine(t)), openText(t, "users.csv", rows), userimport.Options{},
		&recorder{}).Check(ctx)
	if err == nil || !report.Stopped || report.Accounts != 500 {
		t.Errorf("a file: %+v, %v, want the first batch and an error", report, err)
	}
}

func TestObjectIDGivesTheCreationTime(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	const file = "_id,email\n5f4dcc3b5aa765d61d8327de,ada@example.com\nffffffff5aa765d61d8327de,bob@example.com\n"
	begun := time.Now().Truncate(time.Millisecond)
	if _, err := userimport.New(accountimport.New(engine), openText(t, "users.csv", file), userimport.Options{},
		&recorder{}).Import(t.Context()); err != nil {
		t.Fatal(err)
	}
	ada, err := engine.Operator().FindUser(t.Context(), "ada@example.com")
	if want := time.Unix(0x5f4dcc3b, 0); err != nil || !ada.CreatedAt.Equal(want) {
		t.Errorf("created at %s, want %s: %v", ada.CreatedAt, want, err)
	}
	bob, err := engine.Operator().FindUser(t.Context(), "bob@example.com")
	if err != nil || bob.CreatedAt.Before(begun) {
		t.Errorf("an ObjectId of the future: created at %s, want now: %v", bob.CreatedAt, err)
	}
}

func TestExportIsImportedWithoutProblems(t *testing.T) {
	t.Parallel()
	from := newEngine(t)
	const file = "id,email,name,roles,password,disabled\n" +
		"0188b0f6-2b6e-7000-8000-000000000001,ada@example.com,=Ada,admin," + bcryptHash + ",true\n"
	if _, err := userimport.New(accountimport.New(from), openText(t, "users.csv", file), userimport.Options{},
		&recorder{}).Import(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, asCSV := range []bool{false, true} {
		var first, second strings.Builder
		options := userimport.ExportOptions{CSV: asCSV, Progress: func(int) {}}
		if n, err := userimport.Export(t.Context(), from.Operator(), &first, options); err != nil || n.Accounts != 1 {
			t.Fatalf("export: %+v, %v", n, err)
		}
		to := newEngine(t)
		if _, err := userimport.New(accountimport.New(to), openText(t, "all", first.String()), userimport.Options{},
			&recorder{}).Import(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := userimport.Export(t.Context(), to.Operator(), &second,
			options); err != nil || first.String() != second.String() {
			t.Errorf("exported again:\n%s\nwant\n%s\n%v", second.String(), first.String(), err)
		}
	}
	var protected strings.Builder
	options := userimport.ExportOptions{CSV: true, NoFormulas: true, Progress: func(int) {}}
	if _, err := userimport.Export(t.Context(), from.Operator(), &protected,
		options); err != nil || !strings.Contains(protected.String(), ",'=Ada,") {
		t.Errorf("with NoFormulas: %s, %v", protected.String(), err)
	}
}

// Export must write every field of an account, because an import would otherwise lose the field.
func TestExportLeavesNoMemberOfAnAccountEmpty(t *testing.T) {
	t.Parallel()
	var user watchword.User
	fillFields(reflect.ValueOf(&user).Elem())
	user.PasswordHash, user.Metadata = bcryptHash, "{}"
	for _, asCSV := range []bool{false, true} {
		var out strings.Builder
		_, err := userimport.Export(t.Context(), oneAccount(user), &out, userimport.ExportOptions{
			CSV: asCSV, Progress: func(int) {},
			Factors: func(context.Context, []watchword.User) (map[watchword.UserID]watchword.Secret, error) {
				return map[watchword.UserID]watchword.Secret{user.ID: "{}"}, nil
			},
			Private: func(context.Context, []watchword.User) (map[watchword.UserID]string, error) {
				return map[watchword.UserID]string{user.ID: "{}"}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if empty := regexp.MustCompile(`":(null|""|0|false|\[\])|,,|,\n`).FindString(out.String()); empty != "" {
			t.Errorf("%q is empty in\n%s", empty, out.String())
		}
	}
}

// oneAccount is a Lister with only this account.
type oneAccount watchword.User

func (a oneAccount) Users(context.Context, watchword.Address, int) ([]watchword.User, error) {
	return []watchword.User{watchword.User(a)}, nil
}

func fillFields(of reflect.Value) {
	for _, field := range of.Fields() {
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Unix(1, 0)))
		case []string:
			field.Set(reflect.ValueOf([]string{"x"}))
		case bool:
			field.SetBool(true)
		case int:
			field.SetInt(1)
		default:
			field.SetString("x")
		}
	}
}

func TestTrialNamesTheVariantThatFits(t *testing.T) {
	t.Parallel()
	// Try verifies a wrong password with every variant. The hash has the lowest cost of bcrypt, so that this takes
	// little time.
	file := "email,password\nada@example.com," + strings.Replace(bcryptHash, "$10$", "$04$", 1) + "\n"
	trial, err := userimport.NewTrial(openText(t, "users.csv", file), userimport.Options{}, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err := trial.Try("a wrong password"); err != nil || verdict.Fits || verdict.Other != nil ||
		verdict.Description != "bcrypt" {
		t.Errorf("a wrong password: %+v, %v", verdict, err)
	}
	if _, err := userimport.NewTrial(openText(t, "users.csv", file), userimport.Options{},
		"bob@example.com"); err == nil {
		t.Error("an address that is not in the file is tried")
	}
}
