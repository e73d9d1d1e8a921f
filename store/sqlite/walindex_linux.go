package sqlite

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// findWALIndex returns the header of the WAL-index as SQLite has mapped it into this process, or
// nil if it can't find the mapping. It is valid until the last connection to the file closes.
//
// It uses SQLite's own mapping. A second one would need a file descriptor, and closing that
// would release all POSIX locks that SQLite holds on the file in this process (fcntl(2)).
func findWALIndex(path string) *[walIndexHeader]byte {
	path, err := filepath.EvalSymlinks(path) // as SQLite does
	if err != nil {
		return nil
	}
	info, err := os.Stat(path + walIndexSuffix)
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	return (*[walIndexHeader]byte)(unsafe.Add(nil, findMapping(string(maps), info.Sys().(*syscall.Stat_t).Ino)))
}

const walIndexSuffix = "-shm"

// findMapping returns the address of the only shared mapping that begins at the start of the
// WAL-index with this inode number, or 0. It takes the text of /proc/self/maps (proc_pid_maps(5)).
// Two WAL-indexes can have one number on two devices. Their mappings are not distinguished: the
// device in the text is not that of stat(2) on every file system.
func findMapping(maps string, inode uint64) (address uintptr) {
	for line := range strings.Lines(maps) {
		fields := strings.Fields(line) // addresses, permissions, offset, device, inode, path
		if len(fields) < 6 || !strings.HasSuffix(fields[1], "s") || strings.Trim(fields[2], "0") != "" ||
			fields[4] != strconv.FormatUint(inode, 10) || !strings.HasSuffix(fields[len(fields)-1], walIndexSuffix) {
			continue
		}
		first, _, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(first, 16, strconv.IntSize)
		if err != nil || address != 0 {
			return 0
		}
		address = uintptr(start)
	}
	return address
}
