package storetest

import (
	"context"
	"reflect"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/metadata"
)

// These tests fail if a store omits a column. Each test stores a fixture that has a value in every field, and
// compares it with the row that the store returns. If a type gets a new field, wantCompleteFixture fails until the
// fixture has a value for the field.
var columnTests = map[string]func(suite){
	"UserKeepsEveryField": func(s suite) {
		want := fullUser()
		s.wantUpdate(true, "insert", insertUser(want, Start))
		want.Metadata = `{"plan":"pro"}` // stored in a separate table
		wantCompleteFixture(s, want)
		s.wantUpdate(true, "metadata", setMetadata(want.ID, metadata.Metadata{Version: 1, Public: want.Metadata}, 0))
		wantEqual(s, "user", s.readUser(want.ID), want)
	},

	"SessionKeepsEveryField": func(s suite) {
		want := fullSession(s.addUser(1).ID)
		wantCompleteFixture(s, want)
		s.addSession(want)
		wantEqual(s, "session", s.readSession(want.ID), want)
	},

	"EventKeepsEveryField": func(s suite) {
		want := newEvent(User(1).ID, 1)
		want.Times = 3
		wantCompleteFixture(s, want)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertEvent(ctx, want) })
		wantEqual(s, "events", s.readEvents(want.UserID, 9), []watchword.Event{want})
	},

	"KeyKeepsEveryField": func(s suite) {
		want := newKey(watchword.KeySign, 2)
		want.DropAt = afterStart(24 * time.Hour)
		wantCompleteFixture(s, want)
		s.wantUpdate(true, "insert", insertKey(want))
		wantEqual(s, "keys", s.readKeys(), []watchword.Key{want})
	},

	"SignupKeepsEveryField": func(s suite) {
		want := s.addSignup(User(1).Email, 1)
		wantCompleteFixture(s, want)
		wantEqual(s, "sign-ups", s.readSignups(want.Email, Start), []watchword.Signup{want})
	},

	"MailKeepsEveryField": func(s suite) {
		want := fullMail()
		wantCompleteFixture(s, want)
		s.mustUpdate(func(ctx context.Context, tx watchword.Tx) error { return tx.InsertMail(ctx, want) })
		wantEqual(s, "mails", s.readMails(), []watchword.Mail{want})
	},

	"MailTokenKeepsEveryField": func(s suite) {
		want := newResetToken(1)
		want.SignupID = fixedUUID("0009", 1)
		wantCompleteFixture(s, want)
		s.addMailToken(want)
		wantEqual(s, "mail tokens", s.existingMailTokens(want), []watchword.MailToken{want})
	},
}

// fullUser returns a disabled user, because only a disabled user has a value in every field. Fields that User does
// not set get an arbitrary value, so that the suite also tests new fields.
func fullUser() watchword.User {
	u := User(1)
	u.DisabledAt = afterStart(time.Hour)
	for _, field := range reflect.ValueOf(&u).Elem().Fields() {
		switch _, isTime := field.Interface().(time.Time); {
		case !field.IsZero():
		case isTime:
			field.Set(reflect.ValueOf(afterStart(time.Minute)))
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
		one.Superseded[i] = afterStart(time.Duration(i) * time.Second)
	}
	one.RotatedAt = afterStart(time.Minute)
	one.EndedAt, one.EndedWhy = afterStart(time.Hour), watchword.EndedReuse
	return one
}

// fullMail returns an abandoned mail that has the facts of all kinds of mail.
func fullMail() watchword.Mail {
	m := newMail(User(1), 1)
	m.Attempts, m.LastError, m.GivenUpAt = 9, "550 no such mailbox", afterStart(time.Hour)
	m.Facts.NewEmail, m.Facts.UndoUntil = "new@example.com", afterStart(2*time.Hour)
	m.Cause.Request, m.Cause.SignupID, m.Cause.Operator = "r-1", fixedUUID("0009", 1), "ada"
	m.Facts.Factor, m.Facts.Left = "Phone", 3
	m.Facts.Page, m.Facts.ReturnTo = "https://app.example.com/reset", "https://app.example.com/basket"
	return m
}

// fieldsAllowedEmpty gives the reason for each field that a fixture may leave at its zero value. Currently it is
// empty.
var fieldsAllowedEmpty = map[string]string{}

// wantCompleteFixture fails if a field of row is zero and fieldsAllowedEmpty does not list it. With a zero value, a
// test could not detect that the column is missing.
func wantCompleteFixture(s suite, row any) {
	s.Helper()
	wantEveryFieldSet(s, reflect.TypeOf(row).Name(), reflect.ValueOf(row))
}

// wantEveryFieldSet checks fields and elements recursively. It treats a time as one value.
func wantEveryFieldSet(s suite, path string, v reflect.Value) {
	s.Helper()
	_, isTime := v.Interface().(time.Time)
	switch {
	case fieldsAllowedEmpty[path] != "":
	case v.Kind() == reflect.Struct && !isTime:
		for i := range v.NumField() {
			wantEveryFieldSet(s, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			wantEveryFieldSet(s, path, v.Index(i))
		}
	case v.IsZero():
		s.Errorf("the fixture leaves %s at its zero value: fill it, or give a reason in emptyFields", path)
	}
}
