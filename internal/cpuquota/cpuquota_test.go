package cpuquota_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/watchword-auth/watchword/internal/cpuquota"
)

func TestReadReturnsTheLowestQuotaOfTheGroupAndItsParents(t *testing.T) {
	t.Parallel()
	const (
		one = "24 1 0:21 / /proc rw - proc proc rw\n" +
			"31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
		each = "30 24 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
			"31 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
			"32 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		docker = "31 24 0:26 /docker/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		spaced = `31 23 0:26 / /sys/fs/cgroup/my\040groups rw - cgroup2 cgroup2 rw`
		v1     = "5:memory:/m\n3:cpu,cpuacct:/docker/a\n1:cpuset:/\n0::/u\n"
	)
	type groups map[string]string // below /sys/fs/cgroup
	for name, c := range map[string]struct {
		group, mounts string
		files         groups
		want          float64
	}{
		"no control groups":    {"", "", nil, 0},
		"no quota":             {"0::/a\n", one, groups{"a/cpu.max": "max 100000\n"}, 0},
		"a quota":              {"0::/a\n", one, groups{"a/cpu.max": "150000 100000\n"}, 1.5},
		"of the parent":        {"0::/a/b\n", one, groups{"a/b/cpu.max": "max 100\n", "a/cpu.max": "50 100\n"}, 0.5},
		"lower in the group":   {"0::/a/b\n", one, groups{"a/b/cpu.max": "100 100\n", "a/cpu.max": "400 100\n"}, 1},
		"lower in the parent":  {"0::/a/b\n", one, groups{"a/b/cpu.max": "400 100\n", "a/cpu.max": "100 100\n"}, 1},
		"of the mount":         {"0::/\n", one, groups{"cpu.max": "200000 100000\n"}, 2},
		"of another group":     {"0::/a\n", one, groups{"b/cpu.max": "200000 100000\n"}, 0},
		"outside of the mount": {"0::/../a\n", one, groups{"cpu.max": "200000 100000\n"}, 0},
		"unreadable":           {"0::/a\n", one, groups{"a/cpu.max": "many\n"}, 0},
		"empty":                {"0::/a\n", one, groups{"a/cpu.max": ""}, 0},
		"a mount with a space": {"0::/a\n", spaced, groups{"my groups/a/cpu.max": "200 100\n"}, 2},
		"version 1, no quota": {v1, each, groups{
			"cpu,cpuacct/docker/a/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000\n"}, 0},
		"version 1, a quota": {v1, each, groups{
			"cpu,cpuacct/docker/a/cpu.cfs_quota_us": "25000\n", "cpu,cpuacct/docker/a/cpu.cfs_period_us": "50000\n",
		}, 0.5},
		"version 1, of the parent": {v1, each, groups{
			"cpu,cpuacct/docker/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/docker/cpu.cfs_period_us": "100000\n"}, 3},
		"version 1, in a container": {v1, docker, groups{
			"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2},
	} {
		root := t.TempDir()
		writeFile(t, filepath.Join(root, "proc/self/cgroup"), c.group)
		writeFile(t, filepath.Join(root, "proc/self/mountinfo"), c.mounts)
		for file, text := range c.files {
			writeFile(t, filepath.Join(root, "sys/fs/cgroup", file), text)
		}
		if got := cpuquota.Read(os.DirFS(root)); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
