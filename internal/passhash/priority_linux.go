package passhash

import "golang.org/x/sys/unix"

// lowerPriority gives the calling thread the least share of a core that others
// want. Linux keeps a nice value for each thread, although POSIX wants one for
// the process (setpriority(2)). Lowering it takes no privilege; should it be
// forbidden all the same, the work is done at the usual priority.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
}
