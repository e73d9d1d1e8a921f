package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each case has the words as bash passes them: bash makes three words of --limits=on.
func TestBashCompletesCommandsFlagsAndFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "two words.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `source <("$0" completion bash) || exit
		COMP_WORDS=("$0" "$@") COMP_CWORD=$#
		_watchword
		printf '%s\n' "${COMPREPLY[@]}"`
	for want, words := range map[string]string{
		"serve sessions service-keys": "se",
		"sign refresh":                "keys rotate ",
		"debug":                       "serve --log-level = d",
		"on off":                      "serve --limits =",
		"--public-url":                "serve --public",
		"two words.yaml":              "serve --config = two",
	} {
		cmd := exec.Command("bash",
			append([]string{"-c", script, os.Getenv(binaryVariable)}, strings.Split(words, " ")...)...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		if got := strings.ReplaceAll(strings.TrimSuffix(string(out), "\n"), "\n", " "); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}
