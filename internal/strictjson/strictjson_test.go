package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/strictjson"
)

type body struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Remember *bool  `json:"remember,omitempty"`
	Count    int64  `json:"count,omitempty"`
}

func decode(text string) (b body, err error) {
	err = strictjson.Decode(strings.NewReader(text), 16<<10, &b)
	return b, err
}

func TestDecodeReadsAValidBody(t *testing.T) {
	t.Parallel()
	yes := true
	for text, want := range map[string]body{
		`{}`:                       {},
		" {\"email\":\"a\"}\r\n\t": {Email: "a"},
		`{"email":"\u00e9\\u0000 \ud83d\ude00 \"\/"}`:   {Email: "é\\u0000 😀 \"/"},
		`{"password":"é 😀","remember":true,"count":12}`: {Password: "é 😀", Remember: &yes, Count: 12},
	} {
		got, err := decode(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// IN-1, IN-2, IN-3, IN-8
func TestDecodeRejectsAmbiguousBodies(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                      "",
		"blank":                      " \n",
		"null":                       "null",
		"an array":                   `[{"email":"a"}]`,
		"text":                       `"email"`,
		"a member twice":             `{"email":"a","email":"b"}`,
		"twice by an escape":         `{"email":"a","\u0065mail":"b"}`,
		"another case":               `{"Email":"a"}`,
		"a long s":                   `{"pa\u017f\u017fword":"a"}`,
		"an unknown member":          `{"email":"a","isAdmin":true}`,
		"an empty name":              `{"":1}`,
		"something after":            `{"email":"a"} {"email":"b"}`,
		"garbage after":              `{"email":"a"}x`,
		"not closed":                 `{"email":"a"`,
		"a comma too many":           `{"email":"a",}`,
		"single quotes":              `{'email':'a'}`,
		"a comment":                  `{"email":"a"/**/}`,
		"NUL":                        "{\"email\":\"a\x00\"}",
		"NUL by an escape":           `{"email":"a\u0000"}`,
		"invalid UTF-8":              "{\"email\":\"\xff\"}",
		"overlong UTF-8":             "{\"email\":\"\xc0\x80\"}",
		"a lone high surrogate":      `{"email":"\ud83d"}`,
		"a lone low surrogate":       `{"email":"\ude00"}`,
		"two high surrogates":        `{"email":"\ud83d\ud83d"}`,
		"a high surrogate and text":  `{"email":"\ud83dabcdef"}`,
		"null for a member":          `{"email":null}`,
		"a number for text":          `{"email":1}`,
		"an array for text":          `{"email":["a"]}`,
		"an object for text":         `{"email":{"$ne":""}}`,
		"a boolean for text":         `{"email":true}`,
		"text for a boolean":         `{"remember":"true"}`,
		"a fraction":                 `{"count":1.5}`,
		"an exponent":                `{"count":1e400}`,
		"too deep":                   `{"email":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
		"an unfinished escape":       `{"email":"\u12`,
		"a byte order mark":          "\ufeff{}",
		"a member twice, in depth":   `{"email":{"a":1,"a":2}}`,
		"control characters in text": "{\"email\":\"a\nb\"}",
	} {
		_, err := decode(text)
		var fault *strictjson.Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Names in a nested struct are checked as strictly as names of the body, even in a patch.
//
// IN-1
func TestDecodeRejectsUnknownMembersOfStructs(t *testing.T) {
	t.Parallel()
	type nested struct {
		Name string `json:"name"`
		Data *struct {
			Public json.RawMessage `json:"public"`
			Tags   []struct {
				Text string `json:"text"`
			} `json:"tags"`
		} `json:"data"`
	}
	for text, want := range map[string]string{
		`{"data":{"public":{"any":1,"PUBLIC":[{"x":null}]},"tags":[{"text":"a"}]}}`: "",
		`{"data":{"PUBLIC":{}}}`:                  "PUBLIC",
		`{"data":{"public":1,"Public":2}}`:        "Public",
		`{"data":{"publik":{}}}`:                  "publik",
		`{"data":{"tags":[{"text":"a","b":""}]}}`: "b",
		`{"data":{"name":"a"}}`:                   "name",
		`{"name":{"data":1}}`:                     "name",
	} {
		var got nested
		err := strictjson.DecodePatch(strings.NewReader(text), 1<<10, &got)
		var fault *strictjson.Error
		if want == "" && err != nil || want != "" && (!errors.As(err, &fault) || fault.Field != want) {
			t.Errorf("%s: %v, want the field %q", text, err, want)
		}
	}
}

func TestErrorNamesTheMemberButNotTheValue(t *testing.T) {
	t.Parallel()
	_, err := decode(`{"email":["s3cret"]}`)
	var fault *strictjson.Error
	if !errors.As(err, &fault) || fault.Field != "email" || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

// IN-4
func TestDecodeRejectsALargeBodyBeforeParsing(t *testing.T) {
	t.Parallel()
	var b body
	text := `{"email":"` + strings.Repeat("a", 100) + `"}`
	if err := strictjson.Decode(strings.NewReader(text), int64(len(text)), &b); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err := strictjson.Decode(strings.NewReader(text), int64(len(text)-1), &b)
	if !errors.Is(err, strictjson.ErrTooLarge) {
		t.Errorf("above it: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut off") }

func TestDecodeReturnsErrorsOfTheReader(t *testing.T) {
	t.Parallel()
	var b body
	if err := strictjson.Decode(broken{}, 10, &b); err == nil || err.Error() != "cut off" {
		t.Errorf("got %v", err)
	}
}

// If Decode accepts a body, encoding/json must accept it with the same result, and the body must have no unknown
// members.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{}`, `{"email":"a","password":"b","remember":false,"count":1}`, `{"email":"\ud83d\ude00"}`,
		`{"email":"a","email":"b"}`, `[]`, `{"Email":""}`, `{"email":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, loose body
		if strictjson.Decode(bytes.NewReader(data), 1<<16, &strict) != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&loose); err != nil || !reflect.DeepEqual(strict, loose) {
			t.Fatalf("%q: %+v and %+v, %v", data, strict, loose, err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			if name != "email" && name != "password" && name != "remember" && name != "count" {
				t.Fatalf("%q was accepted with %q", data, name)
			}
		}
		if strings.ContainsRune(strict.Email+strict.Password, 0) || strings.ContainsRune(strict.Email, '\ufffd') && !bytes.Contains(data, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(data), []byte(`\ufffd`)) {
			t.Fatalf("%q became %+v", data, strict)
		}
	})
}

var login = []byte(`{"email":"ada@example.com","password":"correct horse battery","remember":true}`)

func BenchmarkDecodeLogin(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var v body
		if err := strictjson.Decode(bytes.NewReader(login), 16<<10, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeLoginWithEncodingJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var v body
		if err := json.NewDecoder(bytes.NewReader(login)).Decode(&v); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDecodeLenientIgnoresUnknownMembersAndNulls(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]body{
		`{"email":"a","passwordConfirm":"b","tags":[{"x":null}]}`: {Email: "a"},
		`{"Email":"b","email":"a"}`:                               {Email: "a"},
		`{"EMAIL":"b"}`:                                           {},
		`{"email":null,"password":"p"}`:                           {Password: "p"},
	} {
		var got body
		if err := strictjson.DecodeLenient(strings.NewReader(text), 16<<10, &got); err != nil ||
			!reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `{"email":["a"]}`, `{"email":{"$gt":""}}`, `{"email":1}`, `{"email":"a","email":"b"}`, `{"x":1,"x":2}`, `{"a":[[[[[[[[[1]]]]]]]]]}`, `{} x`} {
		var got body
		if err := strictjson.DecodeLenient(strings.NewReader(text), 16<<10, &got); err == nil {
			t.Errorf("%s was accepted: %+v", text, got)
		}
	}
}
