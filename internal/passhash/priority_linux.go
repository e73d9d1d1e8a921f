package passhash

import "golang.org/x/sys/unix"

// workerNiceIncrement is added to the nice value of the process. The scheduler of Linux then gives a worker 0.64 of
// the CPU share of other threads (sched(7)). With a higher value, workers get too little time next to other programs.
// With 19, a sign-in with bcrypt takes 3 s instead of 50 ms if another program is busy on each core.
const workerNiceIncrement = 2

// lowerPriority changes only the calling thread. Linux keeps a nice value for each thread, while POSIX has one for
// each process (setpriority(2)). Raising it needs no privilege. If the system forbids it, the work runs at normal
// priority.
func lowerPriority() {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 20-raw+workerNiceIncrement) // the system call returns 20 minus the value
	}
}
