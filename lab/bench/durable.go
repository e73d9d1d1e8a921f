package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file checks in each round that every target waits for the disk at each commit. Otherwise the comparison would
// not be fair. It has three checks:
//
//   - The folder is on a disk, not in memory.
//   - The settings that the server or PostgreSQL reports are durable.
//   - While the server creates accounts, it (or its PostgreSQL process) is seen inside
//     fsync or fdatasync. This check also works for servers that report no settings.

// requiredSettings contains, for each database, the settings that a server must report.
var requiredSettings = map[databaseKind]map[string]string{
	sqliteFile: {"journal_mode": "wal", "synchronous": "2"}, // 2 is FULL
	postgreSQL: {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
}

// checkDisk returns an error if a folder is in memory, where fsync takes no time.
func checkDisk(dir string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return err
	}
	if stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("%s is in memory; name a folder on a disk with -dir", dir)
	}
	return nil
}

func (t *trial) checkSettings(ctx context.Context) error {
	if t.target.kind.settingsPath == "" {
		return nil
	}
	c := rawConn{address: t.at.address}
	defer c.close()
	got, err := t.sendChecked(ctx, &c, request{method: "GET", path: t.target.kind.settingsPath}, clientAddress(0))
	if err != nil {
		return err
	}
	reported := map[string]string{}
	if err := json.Unmarshal(got.body, &reported); err != nil {
		return fmt.Errorf("settings %s: %w", got.body, err)
	}
	return errors.Join(checkRequired(t.target.kind.store, reported), checkPoolSize(t.target.kind.store, reported["pool"]))
}

func checkRequired(on databaseKind, reported map[string]string) error {
	for name, want := range maps.All(requiredSettings[on]) {
		if got := reported[name]; got != want {
			return fmt.Errorf("setting %s is %q, want %q", name, got, want)
		}
	}
	return nil
}

func checkPoolSize(on databaseKind, size string) error {
	if on == postgreSQL && size != strconv.Itoa(poolSize) {
		return fmt.Errorf("the pool has %q connections, want %d", size, poolSize)
	}
	return nil
}

// A syncObserver watches the system calls of the processes that commit.
type syncObserver struct {
	sawSync atomic.Bool // a system call was fsync or fdatasync
	stop    context.CancelFunc
}

// watchSyncs starts a goroutine that watches the processes that commit. The goroutine ends when it has seen one of
// them wait for the disk, or when the caller stops it.
func (t *trial) watchSyncs(ctx context.Context) *syncObserver {
	w := &syncObserver{}
	ctx, w.stop = context.WithCancel(ctx)
	go func() {
		var pids []int
		for n := 0; ctx.Err() == nil && !w.sawSync.Load(); n++ {
			if n%500 == 0 { // not every time, because listing the processes takes long
				pids = t.committingPIDs()
			}
			w.sawSync.Store(isAnySyncing(pids))
			time.Sleep(50 * time.Microsecond) // leave the processors to the server
		}
	}()
	return w
}

func (w *syncObserver) err() error {
	if w.sawSync.Load() {
		return nil
	}
	return errors.New("the server created accounts and was never seen waiting for the disk " +
		"(fsync or fdatasync in /proc/PID/task/*/syscall)")
}

// committingPIDs returns the server, or the PostgreSQL processes that serve it.
func (t *trial) committingPIDs() []int {
	if t.target.kind.store == postgreSQL {
		return t.database.backendPIDs()
	}
	return []int{t.process.cmd.Process.Pid}
}

// isAnySyncing reports whether a thread of the processes is inside fsync or fdatasync.
func isAnySyncing(pids []int) bool {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			number, _, _ := strings.Cut(string(text), " ")
			if n, err := strconv.Atoi(number); err == nil && (n == syscall.SYS_FSYNC || n == syscall.SYS_FDATASYNC) {
				return true
			}
		}
	}
	return false
}
