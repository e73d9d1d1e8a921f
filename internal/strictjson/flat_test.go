package strictjson_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/watchword-auth/watchword/internal/strictjson"
)

// bodyPieces are valid and invalid parts of bodies. The test joins random pieces to a body.
var bodyPieces = []string{
	"{", "}", "[", "]", ":", ",", " ", "\n", "\"", "\\", `\"`, `"a"`, `"A"`, `"b"`, `""`, `"x"`, `"a":1`, `"b":"text"`, `"a":null`,
	"null", "true", "false", "1", "-1.5e3", "01", `"\u0061"`, `"\u0000"`, `"a\\"`, "\x00", "\xff", `{"a":1}`, `{"b":true,"a":""}`,
}

func TestFastCheckAcceptsOnlyWhatTheCompleteCheckAccepts(t *testing.T) {
	t.Parallel()
	known := []string{"a", "b", ""}
	flat := 0
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(rapid.SliceOfN(rapid.SampledFrom(bodyPieces), 0, 5).Draw(t, "pieces"), "")
		if rapid.Bool().Draw(t, "object") {
			body = "{" + body + "}"
		}
		if !strictjson.IsFlat([]byte(body), known) {
			return
		}
		flat++
		if err := strictjson.CheckTokens([]byte(body), known); err != nil {
			t.Errorf("the fast check accepts %q, the complete check says: %v", body, err)
		}
	})
	if flat == 0 {
		t.Error("no generated body was flat")
	}
}

func TestFastCheckAcceptsUsualBodies(t *testing.T) {
	t.Parallel()
	known := []string{"refreshToken", "remember", "count"}
	for _, body := range []string{
		`{}`, ` { } `, `{"refreshToken":"wwr_abc"}`, "{\n\t\"refreshToken\" : \"ä\" , \"remember\" : true,\"count\":-1e3 }\n",
	} {
		if !strictjson.IsFlat([]byte(body), known) {
			t.Errorf("the fast check leaves %s to the complete check", body)
		}
	}
	for _, body := range []string{
		``, `[]`, `{"count":1}{}`, `{"Count":1}`, `{"count":1,"count":1}`, `{"count":null}`, `{"count":[1]}`, `{"other":1}`,
		`{"refreshToken":"\n"}`, `{"c\u006funt":1}`, `{"":1}`, `{"count":1,}`,
	} {
		if strictjson.IsFlat([]byte(body), known) {
			t.Errorf("the fast check accepts %s", body)
		}
	}
}
