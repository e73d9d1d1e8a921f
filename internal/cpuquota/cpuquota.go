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
// the lowest quota among them. rootFS is the root of the file system.
func Read(rootFS fs.FS) (lowest float64) {
	group, kind := readOwnGroup(rootFS)
	mount, dir := findMount(rootFS, group, kind)
	for ; dir != ""; dir = parentGroupDir(dir, mount) {
		if quota := kind.readQuota(rootFS, dir); quota > 0 && (lowest == 0 || quota < lowest) {
			lowest = quota
		}
	}
	return lowest
}

// A cgroupVersion is a version of Linux control groups. A system can mount both, but only one controls processors.
type cgroupVersion int

const (
	cgroupV2 cgroupVersion = iota // one hierarchy for all controllers
	cgroupV1                      // one hierarchy for each controller
)

// readOwnGroup returns the control group that limits the CPU time of this process, as a path in the hierarchy of
// groups. It reads /proc/self/cgroup, whose lines have the form hierarchy:controllers:path.
func readOwnGroup(rootFS fs.FS) (group string, kind cgroupVersion) {
	for line := range strings.Lines(readTextOrEmpty(rootFS, "/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) < 3:
		case slices.Contains(strings.Split(parts[1], ","), "cpu"):
			return parts[2], cgroupV1
		case parts[0] == "0":
			group = parts[2]
		}
	}
	return group, cgroupV2
}

// findMount returns the mount point of the group's hierarchy, and the directory of the group. Both are empty if no
// mount contains the group, as in a container that does not see its own group.
func findMount(rootFS fs.FS, group string, kind cgroupVersion) (mount, dir string) {
	for line := range strings.Lines(readTextOrEmpty(rootFS, "/proc/self/mountinfo")) {
		before, after, _ := strings.Cut(line, " - ")
		place, system := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(system) < 3 || !kind.mountedAs(system[0], system[2]) {
			continue
		}
		mountedPart, mountPoint := mountInfoUnescaper.Replace(place[3]), mountInfoUnescaper.Replace(place[4])
		below, inside := strings.CutPrefix(group+"/", strings.TrimSuffix(mountedPart, "/")+"/")
		if inside && !slices.Contains(strings.Split(below, "/"), "..") {
			return mountPoint, path.Join(mountPoint, below)
		}
	}
	return "", ""
}

var mountInfoUnescaper = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func (v cgroupVersion) mountedAs(system, options string) bool {
	if v == cgroupV2 {
		return system == "cgroup2"
	}
	return system == "cgroup" && slices.Contains(strings.Split(options, ","), "cpu")
}

// parentGroupDir returns the directory of the parent group, or "" if dir is the mount point.
func parentGroupDir(dir, mount string) string {
	if dir == mount {
		return ""
	}
	return path.Dir(dir)
}

// readQuota returns the quota of one group, in the unit of Read. It returns 0 if the group has no quota. In that
// case, cpu.max contains "max", and cpu.cfs_quota_us contains a negative number.
func (v cgroupVersion) readQuota(rootFS fs.FS, dir string) float64 {
	text := readTextOrEmpty(rootFS, dir+"/cpu.max")
	if v == cgroupV1 {
		text = readTextOrEmpty(rootFS, dir+"/cpu.cfs_quota_us") + readTextOrEmpty(rootFS, dir+"/cpu.cfs_period_us")
	}
	var used, period int // microseconds
	if n, _ := fmt.Sscan(text, &used, &period); n < 2 || used <= 0 || period <= 0 {
		return 0
	}
	return float64(used) / float64(period)
}

func readTextOrEmpty(rootFS fs.FS, name string) string {
	text, err := fs.ReadFile(rootFS, strings.TrimPrefix(name, "/"))
	if err != nil {
		return ""
	}
	return string(text)
}
