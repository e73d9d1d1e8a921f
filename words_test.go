package watchword_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wordMeasures measure plain language in the comments of Go and TypeScript and in
// Markdown. If a number is above its bound, a change added sentences that are hard to
// read. `go test -run TestSentencesStayPlain -v .` prints the numbers. The bounds only go
// down.
var wordMeasures = []struct {
	name  string
	bound int
	match func(sentence string) bool
}{
	{"sentences that begin with What, Who, Whoever, Whatever", 5, matching(`^(What|Who|Whoever|Whatever)\b[^?]*$`)},
	{"sentences with nobody, nothing, none, no one", 79, func(s string) bool {
		// Two uses of "none" are allowed: alone, as a value in a table, and in "Default: none.", as the value of an
		// option. SameSite=None and If-None-Match are names.
		s = strings.NewReplacer("SameSite=None", "", "If-None-Match", "").Replace(s)
		return s != "Default: none." &&
			matching(`(?i)\b(nobody|nothing|none|no one)\b.*\s|\s.*\b(nobody|nothing|none|no one)\b`)(s)
	}},
	{"of ours, of theirs, is of no, for it is, whoever", 0,
		matching(`(?i)\b(of ours|of theirs|is of no|for it is|whoever)\b`)},
	{"sentences over 30 words", 12, func(s string) bool { return len(strings.Fields(s)) > 30 }},
}

func matching(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

func TestSentencesStayPlain(t *testing.T) {
	t.Parallel()
	sentences := map[string][]string{} // sentences by file
	total := 0
	must(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch name := entry.Name(); {
			case name == "node_modules", name == "testdata", name == "dist", name == "build",
				strings.HasPrefix(name, ".") && path != ".": // such as .next, which tests build
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".ts", ".tsx":
			sentences[path] = scriptSentences(t, path)
		case ".md":
			sentences[path] = proseSentences(readText(t, path))
		}
		total += len(sentences[path])
		return nil
	}))
	for _, file := range readHouse(t, os.DirFS(".")) {
		if !ast.IsGenerated(file.syntax) {
			for _, group := range file.syntax.Comments {
				sentences[file.path] = append(sentences[file.path], proseSentences(group.Text())...)
			}
			total += len(sentences[file.path])
		}
	}
	t.Logf("%d sentences in %d files", total, len(sentences))
	for _, m := range wordMeasures {
		var found []string
		for path, list := range sentences {
			for _, s := range list {
				if m.match(s) {
					found = append(found, path+": "+s)
				}
			}
		}
		t.Logf("%5d (bound %d) %s", len(found), m.bound, m.name)
		if len(found) > m.bound {
			t.Errorf("%d %s; at most %d:\n%s", len(found), m.name, m.bound, strings.Join(found, "\n"))
		}
	}
}

var scriptComment = regexp.MustCompile(`(?s:/\*.*?\*/)|(?m:^[ \t]*//.*\n)+|(?m://[^\n"'` + "`" + `]*$)`)

func scriptSentences(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, comment := range scriptComment.FindAllString(readText(t, path), -1) {
		var text strings.Builder
		for line := range strings.Lines(comment) {
			text.WriteString(strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "/*")) + "\n")
		}
		all = append(all, proseSentences(text.String())...)
	}
	return all
}

var (
	fencedCode  = regexp.MustCompile("(?s)```.*?```|(?m)^( {4}|\t).*$")
	blockBreak  = regexp.MustCompile(`\n\s*\n|\n\s*[-*#>|]|\n\s*\d+\.\s|\|`)
	sentenceEnd = regexp.MustCompile(`[.!?]["')*_` + "`" + `]*\s+`)
)

// proseSentences omits code blocks. The end of a table cell or list item ends a sentence.
func proseSentences(text string) (all []string) {
	text = fencedCode.ReplaceAllString(text, "\n")
	for _, block := range blockBreak.Split("\n"+text, -1) {
		block = strings.Join(strings.Fields(strings.TrimLeft(block, "-*#>| ")), " ")
		start := 0
		for _, end := range append(sentenceEnd.FindAllStringIndex(block, -1), []int{len(block), len(block)}) {
			if s := strings.TrimSpace(block[start:end[0]]); s != "" {
				all = append(all, s)
			}
			start = end[1]
		}
	}
	return all
}
