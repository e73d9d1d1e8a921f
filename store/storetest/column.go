package storetest

import (
	"context"
	"reflect"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

// These tests fail if a store omits a column. Each test stores a fixture that has a value in every field, and
// compares it with the row that the store returns. If a type gets a new field, completeFixture fails until the
// fixture has a value for the field.
var columns = map[string]func(suite){
	"UserKeepsEveryField": func(s suite) {
		want := fullUser()
		s.wantHeld(true, "insert", insertUser(want, Start))
		want.Metadata = `{"plan":"pro"}` // stored in a separate table
		completeFixture(s, want)
		s.wantHeld(true, "metadata", setMetadata(want.ID, metadata.Metadata{Version: 1, Public: want.Metadata}, 0))
		same(s, "user", s.user(want.ID), want)
	},

	"SessionKeepsEveryField": func(s suite) {
		want := fullSession(s.addUser(1).ID)
		completeFixture(s, want)
		s.addSession(want)
		same(s, "session", s.session(want.ID), want)
	},

	"EventKeepsEveryField": func(s suite) {
		want := eventOf(User(1).ID, 1)
		want.Times = 3
		completeFixture(s, want)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, want) })
		same(s, "events", s.events(want.UserID, 9), []watchword.Event{want})
	},

	"KeyKeepsEveryField": func(s suite) {
		want := keyOf(watchword.KeySign, 2)
		want.DropAt = after(24 * time.Hour)
		completeFixture(s, want)
		s.wantHeld(true, "insert", insertKey(want))
		same(s, "keys", s.keys(), []watchword.Key{want})
	},

	"SignupKeepsEveryField": func(s suite) {
		want := s.addSignup(User(1).Email, 1)
		completeFixture(s, want)
		same(s, "sign-ups", s.signups(want.Email, Start), []watchword.Signup{want})
	},

	"MailKeepsEveryField": func(s suite) {
		want := fullMail()
		completeFixture(s, want)
		s.update(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, want) })
		same(s, "mails", s.mails(), []watchword.Mail{want})
	},

	"MailTokenKeepsEveryField": func(s suite) {
		want := mailTokenOf(1)
		want.SignupID = uuidOf("0009", 1)
		completeFixture(s, want)
		s.addMailToken(want)
		same(s, "mail tokens", s.mailTokens(want), []watchword.MailToken{want})
	},
}

// fullUser returns a disabled user, because only a disabled user has a value in every field. Fields that User does
// not set get an arbitrary value, so that the suite also tests new fields.
func fullUser() watchword.User {
	u := User(1)
	u.DisabledAt = after(time.Hour)
	for _, field := range reflect.ValueOf(&u).Elem().Fields() {
		switch _, isTime := field.Interface().(time.Time); {
		case !field.IsZero():
		case isTime:
			field.Set(reflect.ValueOf(after(time.Minute)))
		case field.Kind() == reflect.String:
			field.SetString("a text")
		case field.CanInt():
			field.SetInt(1)
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		}
	}
	return u
}

// fullSession returns an ended session that was rotated so often that Superseded is full.
func fullSession(owner watchword.UserID) watchword.Session {
	one := Session(owner, 1)
	one.Generation, one.Forgiven = 99, 98
	for i := range one.Superseded {
		one.Superseded[i] = after(time.Duration(i) * time.Second)
	}
	one.RotatedAt = after(time.Minute)
	one.EndedAt, one.EndedWhy = after(time.Hour), watchword.EndedReuse
	return one
}

// fullMail returns an abandoned mail that has the facts of all kinds of mail.
func fullMail() watchword.Mail {
	m := mailOf(User(1), 1)
	m.Attempts, m.LastError, m.GivenUpAt = 9, "550 no such mailbox", after(time.Hour)
	m.Facts.NewEmail, m.Facts.UndoUntil = "new@example.com", after(2*time.Hour)
	m.Cause.Request, m.Cause.SignupID, m.Cause.Operator = "r-1", uuidOf("0009", 1), "ada"
	m.Facts.Factor, m.Facts.Left = "Phone", 3
	m.Facts.Page, m.Facts.ReturnTo = "https://app.example.com/reset", "https://app.example.com/basket"
	return m
}

// emptyFields lists the fields that a fixture may leave at their zero value. The value of each entry is the reason.
// Currently the map is empty.
var emptyFields = map[string]string{}

// completeFixture fails if a field of row is zero and emptyFields does not list it. With a zero value, a test could
// not detect that the column is missing.
func completeFixture(s suite, row any) {
	s.Helper()
	wantFilled(s, reflect.TypeOf(row).Name(), reflect.ValueOf(row))
}

// wantFilled checks one value and, recursively, its fields and elements. It treats a time as one value.
func wantFilled(s suite, path string, v reflect.Value) {
	s.Helper()
	_, isTime := v.Interface().(time.Time)
	switch {
	case emptyFields[path] != "":
	case v.Kind() == reflect.Struct && !isTime:
		for i := range v.NumField() {
			wantFilled(s, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			wantFilled(s, path, v.Index(i))
		}
	case v.IsZero():
		s.Errorf("the fixture leaves %s at its zero value: fill it, or give a reason in emptyFields", path)
	}
}
