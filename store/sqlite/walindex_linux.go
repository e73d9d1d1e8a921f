package sqlite

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// findWALIndex returns the header of the WAL-index. It uses the memory to which SQLite has mapped the WAL-index, and
// returns nil if it can't find this memory. The result is valid until the last connection to the file closes.
//
// findWALIndex does not map the file itself, because this would need a file descriptor. Closing the descriptor would
// release all POSIX locks that SQLite holds on the file in this process (fcntl(2)).
func findWALIndex(path string) *[walIndexHeaderSize]byte {
	path, err := filepath.EvalSymlinks(path) // SQLite follows symbolic links, too
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
	return (*[walIndexHeaderSize]byte)(unsafe.Add(nil, findMapping(string(maps), info.Sys().(*syscall.Stat_t).Ino)))
}

const walIndexSuffix = "-shm"

// findMapping returns the address of the only shared mapping of a WAL-index with this inode number, or 0. The mapping
// must begin at the start of the WAL-index. The caller passes the text of /proc/self/maps (proc_pid_maps(5)).
//
// If two WAL-indexes on different devices have the same inode number, findMapping returns 0. It does not compare
// devices, because on some file systems the device in the text differs from that of stat(2).
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
