// Package cpuquota reads the CPU quota of the control group of this process (man 7 cgroups,
// CFS bandwidth control). It does not know what a caller does with the quota.
package cpuquota

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Read returns the CPU quota of the control group of this process, as seconds of CPU time per second. It returns 0 if
// there is no quota, or if the quota can't be read. A group can't use more than its parent groups, so Read returns
// the lowest quota among them. The argument root is the root of the file system.
func Read(root fs.FS) (lowest float64) {
	group, kind := groupOf(root)
	mount, dir := find(root, group, kind)
	for ; dir != ""; dir = parent(dir, mount) {
		if quota := kind.quota(root, dir); quota > 0 && (lowest == 0 || quota < lowest) {
			lowest = quota
		}
	}
	return lowest
}

// A version is the version of Linux control groups. A system can mount both versions, but only one version controls
// processors.
type version int

const (
	second version = iota // version 2: one hierarchy for all controllers
	first                 // version 1: one hierarchy for each controller
)

// groupOf returns the control group that limits the CPU time of this process, as a path in the hierarchy of groups.
// It reads /proc/self/cgroup, whose lines have the form hierarchy:controllers:path.
func groupOf(root fs.FS) (group string, kind version) {
	for line := range strings.Lines(read(root, "/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) < 3:
		case slices.Contains(strings.Split(parts[1], ","), "cpu"):
			return parts[2], first
		case parts[0] == "0":
			group = parts[2]
		}
	}
	return group, second
}

// find returns the mount point of the group's hierarchy, and the directory of the group. Both are empty if no mount
// contains the group, as in a container that does not see its own group.
func find(root fs.FS, group string, kind version) (mount, dir string) {
	for line := range strings.Lines(read(root, "/proc/self/mountinfo")) {
		before, after, _ := strings.Cut(line, " - ")
		place, system := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(system) < 3 || !kind.mountedAs(system[0], system[2]) {
			continue
		}
		// The variable top is the part of the hierarchy that is mounted, and at is the mount point.
		top, at := unescape.Replace(place[3]), unescape.Replace(place[4])
		below, inside := strings.CutPrefix(group+"/", strings.TrimSuffix(top, "/")+"/")
		if inside && !slices.Contains(strings.Split(below, "/"), "..") {
			return at, path.Join(at, below)
		}
	}
	return "", ""
}

// unescape undoes the escapes of mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func (v version) mountedAs(system, options string) bool {
	if v == second {
		return system == "cgroup2"
	}
	return system == "cgroup" && slices.Contains(strings.Split(options, ","), "cpu")
}

// parent returns the directory of the parent group. For the mount point, it returns "".
func parent(dir, mount string) string {
	if dir == mount {
		return ""
	}
	return path.Dir(dir)
}

// quota returns the quota of one group, in the unit of Read. It returns 0 if the group has no quota. In that case,
// cpu.max contains "max", and cpu.cfs_quota_us contains a negative number.
func (v version) quota(root fs.FS, dir string) float64 {
	text := read(root, dir+"/cpu.max")
	if v == first {
		text = read(root, dir+"/cpu.cfs_quota_us") + read(root, dir+"/cpu.cfs_period_us")
	}
	var used, period int // microseconds
	if n, _ := fmt.Sscan(text, &used, &period); n < 2 || used <= 0 || period <= 0 {
		return 0
	}
	return float64(used) / float64(period)
}

// read returns the text of a file, or "" if it can't be read.
func read(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, strings.TrimPrefix(name, "/"))
	if err != nil {
		return ""
	}
	return string(text)
}
