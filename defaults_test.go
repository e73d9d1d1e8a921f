package watchword_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/internal/passhash"
)

// defaultText finds "Default: …" in a comment, up to a full stop that ends a sentence.
var defaultText = regexp.MustCompile(`(?s)Default: (.*?)\.?(\s*$|\.\s)`)

var uncomparableDefaults = map[string]string{"SecondFactor": "none", "Log": "discards them", "Now": "time.Now"}

func TestCommentsOfOptionsStateTheDefaults(t *testing.T) {
	t.Parallel()
	const url = "https://id.example.com"
	defaults := watchword.DefaultsOf(watchword.Options{PublicURL: url})
	if defaults.Log == nil || defaults.Now == nil {
		t.Error("Log and Now have no default")
	}
	checkDefaultComments(t, "watchword.go", "Options", reflect.ValueOf(defaults))
	checkDefaultComments(t, "limits.go", "Limits", reflect.ValueOf(defaults.Limits))
}

// Each default of a setting must equal the engine's default. Otherwise the program would behave differently from an
// application that uses the library. The test reads from the source of wire.go which option each setting sets.
func TestDefaultsOfSettingsAreTheDefaultsOfTheEngine(t *testing.T) {
	t.Parallel()
	tags := defaultTagsBySetting(t)
	defaults := reflect.ValueOf(watchword.DefaultsOf(watchword.Options{PublicURL: "https://id.example.com"}))
	checked := 0
	for option, field := range settingsByOption(t) {
		tag, given := tags[field]
		if !given || option == "PublicURL" || option == "Limits" || option == "NoVerifyMail" ||
			option == "ReuseEndsAll" && tag == "session" {
			continue // the URL has no default; the other settings and their options differ in type
		}
		value := defaults
		for name := range strings.SplitSeq(option, ".") {
			value = value.FieldByName(name)
		}
		if !tagStatesValue(value, tag) {
			t.Errorf("the setting %s has the default %s, the option %s has %v", field, tag, option, value)
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d defaults were compared", checked)
	}
}

func defaultTagsBySetting(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	ast.Inspect(parseFile(t, "cmd/watchword/config.go"), func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if ok && field.Tag != nil && len(field.Names) == 1 {
			tag, err := strconv.Unquote(field.Tag.Value)
			must(t, err)
			if text, given := reflect.StructTag(tag).Lookup("default"); given {
				tags[field.Names[0].Name] = text
			}
		}
		return true
	})
	return tags
}

// settingsByOption reads wire.go. The key of a nested option has dots between the names.
func settingsByOption(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	var visit func(prefix string, n ast.Node)
	visit = func(prefix string, n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					visit(prefix+"."+key.Name, n.Value)
				}
				return false
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "s" {
					settings[strings.TrimPrefix(prefix, ".")] = n.Sel.Name
				}
			}
			return true
		})
	}
	for _, decl := range parseFile(t, "cmd/watchword/wire.go").Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			switch fn.Name.Name {
			case "engineOptions":
				visit("", fn.Body)
			case "engineLimits":
				visit(".Limits", fn.Body)
			}
		}
	}
	return settings
}

func tagStatesValue(value reflect.Value, tag string) bool {
	switch v := value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(tag)
		return err == nil && d == v
	case watchword.Limit:
		count, per, _ := strings.Cut(tag, "/")
		d, err := time.ParseDuration(per)
		return err == nil && d == v.Per && count == strconv.Itoa(v.Count)
	}
	return fmt.Sprint(value) == tag
}

func parseFile(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	must(t, err)
	return file
}

func checkDefaultComments(t *testing.T, file, name string, values reflect.Value) {
	t.Helper()
	checked := 0
	for field, comment := range fieldComments(t, file, name) {
		if strings.Contains(comment, "Required.") || field == "Limits" {
			continue
		}
		found := defaultText.FindStringSubmatch(comment)
		switch text := ""; {
		case found == nil:
			t.Errorf("the comment of %s.%s states no default", name, field)
		default:
			text = strings.Join(strings.Fields(found[1]), " ")
			if uncomparableDefaults[field] != text && !statesDefault(values, field, text) {
				t.Errorf("%s.%s: the comment says %q, the default is %v", name, field, text, values.FieldByName(field))
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("%s: only %d defaults were found", name, checked)
	}
}

func fieldComments(t *testing.T, file, name string) map[string]string {
	t.Helper()
	comments := map[string]string{}
	ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			for _, id := range field.Names {
				comments[id.Name] = field.Doc.Text() + field.Comment.Text()
			}
		}
		return false
	})
	return comments
}

func statesDefault(values reflect.Value, field, text string) bool {
	value := values.FieldByName(field)
	if other := values.FieldByName(text); other.IsValid() {
		return reflect.DeepEqual(value.Interface(), other.Interface())
	}
	switch v := value.Interface().(type) {
	case time.Duration:
		return parseDuration(text) == v
	case int:
		return text == strconv.Itoa(v)
	case bool:
		return text == strconv.FormatBool(v)
	case watchword.Limit:
		count, per, _ := strings.Cut(text, " in ")
		return count == strconv.Itoa(v.Count) && parseDuration(per) == v.Per
	case watchword.RotationPolicy:
		return text == "Grace "+strconv.Itoa(int(v.Grace.Seconds()))+" s, Clean "+strconv.FormatInt(v.Clean, 10)
	case watchword.SessionPolicy:
		idle, rest, _ := strings.Cut(strings.TrimPrefix(text, "Idle "), ", ShortIdle ")
		short, longest, _ := strings.Cut(rest, " or Idle if that is shorter, Max ")
		return parseDuration(idle) == v.Idle && parseDuration(short) == v.ShortIdle && parseDuration(longest) == v.Max
	}
	if field == "HashCost" {
		return statesHashCost(text)
	}
	if text == "none" {
		return value.IsZero()
	}
	// The name of a constant ends with its value.
	return value.String() != "" && strings.HasSuffix(strings.ToLower(text), strings.ToLower(value.String()))
}

func statesHashCost(text string) bool {
	match := regexp.MustCompile(`^"(.*)" for argon2id, "(.*)" for bcrypt$`).FindStringSubmatch(text)
	for i, alg := range []string{"argon2id", "bcrypt"} {
		if match == nil {
			return false
		}
		stated, err := passhash.ParseParams(alg, match[i+1])
		meant, err2 := passhash.ParseParams(alg, "")
		if err != nil || err2 != nil || stated != meant {
			return false
		}
	}
	return true
}

// parseDuration parses texts such as "15 min" or "7 days". It returns -1 for any other text.
func parseDuration(text string) time.Duration {
	count, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(count)
	of := map[string]time.Duration{
		"s": time.Second, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hour": time.Hour, "hours": time.Hour, "days": 24 * time.Hour,
	}[unit]
	if err != nil || of == 0 {
		return -1
	}
	return time.Duration(n) * of
}
