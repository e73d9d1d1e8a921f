package sqlite_test

import (
	"strings"
	"testing"

	"github.com/watchword-auth/watchword/store/sqlite"
)

func TestOnlyTheMappingOfTheWALIndexIsFound(t *testing.T) {
	t.Parallel()
	const index = "7f8a5c000000-7f8a5c008000 rw-s 00000000 fe:00 1234 /data/watchword.db-shm\n"
	const others = "00400000-0040b000 r-xp 00000000 fe:00 1234 /bin/watchword\n" +
		"7f8a5d000000-7f8a5d008000 rw-s 00008000 fe:00 1234 /data/watchword.db-shm\n" +
		"7f8a5e000000-7f8a5e008000 rw-p 00000000 fe:00 1234 /data/watchword.db-shm\n" +
		"7f8a5f000000-7f8a5f008000 rw-s 00000000 fe:00 12345 /data/watchword.db-shm\n" +
		"7f8a60000000-7f8a60021000 rw-p 00000000 00:00 0\n" +
		"7f8a61000000-7f8a61008000 rw-s 00000000 fe:00 1234 /data/watchword.db-shm (deleted)\n"
	for name, c := range map[string]struct {
		maps string
		want uintptr
	}{
		"alone":                 {index, 0x7f8a5c000000},
		"among others":          {others + index + others, 0x7f8a5c000000},
		"a name with spaces":    {strings.ReplaceAll(index, "/data/", "/my data/"), 0x7f8a5c000000},
		"only others":           {others, 0},
		"twice":                 {index + strings.ReplaceAll(index, "fe:00", "fe:01"), 0},
		"nothing":               {"", 0},
		"a line of other words": {"a b c d 1234 x-shm\nz-1 rw-s 0 fe:00 1234 x-shm\n", 0},
	} {
		if got := sqlite.FindMapping(c.maps, 1234); got != c.want {
			t.Errorf("%s: %#x, want %#x", name, got, c.want)
		}
	}
}
