package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests build the program once and run it, as users do.

func TestMain(m *testing.M) { os.Exit(buildAndTest(m)) }

// binaryVariable names the environment variable with the path of the built program.
const binaryVariable = "TEST_BINARY"

func buildAndTest(m *testing.M) int {
	dir, err := os.MkdirTemp("", "watchword")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "watchword")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	table := filepath.Join(dir, "faults")
	if err := errors.Join(os.Setenv(binaryVariable, binary), os.Setenv(tableVariable, table)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	printTable(table)
	return code
}

// The program of a call has only the given environment.
type call struct {
	dir   string // default: a new folder
	env   []string
	files map[string]string // content by name, created in dir
	input string
	args  []string
}

type result struct {
	code        int
	out, errors string
}

func run(t *testing.T, c call) result {
	t.Helper()
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	for name, text := range c.files {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Getenv(binaryVariable), c.args...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.dir, append([]string{"HOME=" + c.dir}, c.env...), strings.NewReader(c.input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %v: %v", c.args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}
