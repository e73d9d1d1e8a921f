package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A mailbox reads the development mailbox from its folder. Each mail is taken
// once.
type mailbox struct {
	t    *testing.T
	dir  string
	seen []string
}

var mailToken = regexp.MustCompile(`wwm_[A-Za-z0-9_-]{43}`)

// wait returns the text of the next mail of a kind.
func (m *mailbox) wait(kind string) string {
	m.t.Helper()
	for range 400 {
		files, err := filepath.Glob(filepath.Join(m.dir, "*"))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && !slices.Contains(m.seen, file) && strings.Contains(string(text), kind) {
				m.seen = append(m.seen, file)
				return string(text)
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	m.t.Fatalf("no mail of kind %s came", kind)
	return ""
}

// token returns the token of the next mail of a kind.
func (m *mailbox) token(kind string) string {
	m.t.Helper()
	token := mailToken.FindString(m.wait(kind))
	if token == "" {
		m.t.Fatalf("the mail of kind %s has no token", kind)
	}
	return token
}
