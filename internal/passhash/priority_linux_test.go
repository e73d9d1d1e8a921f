package passhash_test

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchword-auth/watchword/internal/passhash"
)

// The test is not parallel: it counts the threads of the process, and other pools would add
// threads.
func TestOnlyPoolThreadsHaveLowerPriority(t *testing.T) {
	before := lowPriorityThreads(t, nil) // threads of pools that other tests have closed
	const workers = 2
	pool := passhash.NewPool(workers, time.Minute)
	var mu sync.Mutex
	var threads []int
	var begun, ended sync.WaitGroup
	begun.Add(workers)
	release := make(chan struct{})
	for range workers {
		ended.Go(func() {
			err := pool.Do(t.Context(), "client", func() {
				mu.Lock()
				threads = append(threads, unix.Gettid())
				mu.Unlock()
				begun.Done()
				<-release
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	begun.Wait()
	slices.Sort(threads)
	if got := lowPriorityThreads(t, before); !slices.Equal(got, threads) {
		t.Errorf("threads %v have a nice value that is 2 higher, want those of the workers, %v", got, threads)
	}
	close(release)
	ended.Wait()
	pool.Close()

	// The Go runtime ends the thread of a worker a moment after its goroutine, so the test waits. The runtime never
	// ends the first thread of the process, so the test ignores this thread.
	ignored := append(before, os.Getpid())
	deadline := time.Now().Add(10 * time.Second)
	for ; len(lowPriorityThreads(t, ignored)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("threads %v have a higher nice value after Close", lowPriorityThreads(t, ignored))
		}
	}
}

// lowPriorityThreads returns the sorted ids of the threads whose nice value is 2 higher than that of this thread. The
// system call returns 20 minus the nice value (getpriority(2)).
func lowPriorityThreads(t *testing.T, ignored []int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	var low []int
	for _, entry := range entries {
		tid, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err == nil && raw == own-2 && !slices.Contains(ignored, tid) {
			low = append(low, tid)
		}
	}
	slices.Sort(low)
	return low
}
