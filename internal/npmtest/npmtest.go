// Package npmtest installs npm packages for tests.
package npmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Skip names the environment variable that skips tests with Node.js when its value is "skip".
// CI never sets it.
const Skip = "WATCHWORD_TEST_NODE"

// installTimeout is shorter than the timeout of the whole test program, which would otherwise report a stalled
// download.
const installTimeout = 4 * time.Minute

// Require skips a test that needs Node.js if the variable Skip has the value "skip". It fails the test if Node.js or
// npm is missing.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(Skip) == "skip" {
		t.Skip(Skip + "=skip: tests with Node.js are skipped")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: install Node.js 20 or newer with npm, or set %s=skip", program, Skip)
		}
	}
}

// Install installs the packages in the package-lock.json of a folder. The error has the output of npm.
func Install(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	// The shorter timeout makes npm retry a stalled download after 30 seconds. By default, npm waits five minutes.
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"--fetch-timeout=30000", "--fetch-retries=4")
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, out)
	}
	return nil
}
