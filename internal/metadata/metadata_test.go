package metadata_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/internal/metadata"
)

// The cases are the examples of RFC 7396, appendix A, that result in an object, and some others.
func TestMergeFollowsRFC7396(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ object, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, ``},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a":"foo"}`, `null`, ``},
		{``, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{``, `{}`, ``},
		{``, ` { "z" : 1 , "a" : "<&>é\u00e9" } `, `{"a":"<&>éé","z":1}`},
		{``, `{"id":9007199254740993,"f":1.10,"e":1e400}`, `{"e":1e400,"f":1.10,"id":9007199254740993}`},
	} {
		got, err := metadata.Merge(c.object, c.patch)
		if err != nil || got != c.want {
			t.Errorf("%s with %s: got %s, %v, want %s", c.object, c.patch, got, err, c.want)
		}
	}
}

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

func TestMergeRefusesWhatParsersReadDifferently(t *testing.T) {
	t.Parallel()
	for _, patch := range []string{
		``, `{`, `[]`, `"text"`, `1`, `true`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{} {}`, `{"a":NaN}`,
		`{"a":"\u0000"}`, `{"a\u0000":1}`, "{\"a\":\"\x00\"}", `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, "{\"a\":\"\xff\"}",
		nested(9), strings.Repeat(`{"a":`, 7) + `[[]]` + strings.Repeat("}", 7),
	} {
		if got, err := metadata.Merge(`{"b":1}`, patch); !errors.Is(err, metadata.ErrInvalid) {
			t.Errorf("%q: got %s, %v", patch, got, err)
		}
	}
	for _, patch := range []string{nested(8), `{"a":"\ud83e\udda6"}`} {
		if _, err := metadata.Merge("", patch); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
	}
	// A patch must not make an object deeper than maxDepth.
	if _, err := metadata.Merge(nested(7), strings.Replace(nested(7), "{}", nested(3), 1)); err == nil {
		t.Error("a deeper object is accepted")
	}
}

func TestSizeIsOfBothObjectsTogether(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("x", metadata.MaxSize/2)
	if err := metadata.CheckSize(half, half); err != nil {
		t.Error(err)
	}
	if err := metadata.CheckSize(half, half+"x"); !errors.Is(err, metadata.ErrInvalid) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestValueFollowsThePath(t *testing.T) {
	t.Parallel()
	const object = `{"plan":"pro","n":9007199254740993,"no":null,"a":{"b":{"c":[1]},"d":false}}`
	for path, want := range map[string]any{
		"plan": "pro", "n": json.Number("9007199254740993"), "a.b.c": []any{json.Number("1")}, "a.d": false,
		"no": nil, "x": nil, "plan.x": nil, "a.b.c.0": nil, "": nil, "a..b": nil, "A.b": nil,
	} {
		got, ok := metadata.Value(object, path)
		if ok != (want != nil) || !reflect.DeepEqual(got, want) && ok {
			t.Errorf("%q: got %v, %t, want %v", path, got, ok, want)
		}
	}
	if _, ok := metadata.Value("", "plan"); ok {
		t.Error("no object has a value")
	}
}

// A merge is idempotent, and its result is an object that a merge accepts.
func FuzzMerge(f *testing.F) {
	f.Add(`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`)
	f.Add(`{"e":null}`, `{"a":1e400}`)
	f.Fuzz(func(t *testing.T, object, patch string) {
		start, err := metadata.Merge("", object)
		if err != nil {
			t.Skip()
		}
		once, err := metadata.Merge(start, patch)
		if err != nil {
			return
		}
		twice, err := metadata.Merge(once, patch)
		if err != nil || once != twice {
			t.Errorf("%s with %s: once %s, twice %s, %v", object, patch, once, twice, err)
		}
	})
}
