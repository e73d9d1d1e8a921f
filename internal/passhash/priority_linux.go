package passhash

import "golang.org/x/sys/unix"

// lowerPriority sets the nice value of the calling thread to 19, the lowest priority.
// Linux keeps a nice value for each thread, while POSIX has one for each process
// (setpriority(2)). It needs no privilege. If the system forbids it, the work runs at
// normal priority.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
}
