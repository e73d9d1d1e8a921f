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

// Not parallel, because it counts the threads of the process, and other pools would add some.
func TestOnlyPoolThreadsHaveLowPriority(t *testing.T) {
	before := threadsAtNice19(t, nil) // of pools that other tests have closed
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
	if got := threadsAtNice19(t, before); !slices.Equal(got, threads) {
		t.Errorf("threads %v have nice value 19, want those of the workers, %v", got, threads)
	}
	close(release)
	ended.Wait()
	pool.Close()

	// The runtime ends a thread a moment after its goroutine, but parks the
	// first of the process for good.
	but := append(before, os.Getpid())
	for deadline := time.Now().Add(10 * time.Second); len(threadsAtNice19(t, but)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("threads %v have nice value 19 after Close", threadsAtNice19(t, but))
		}
	}
}

// threadsAtNice19 returns the threads of this process with nice value 19, in order, without those
// in but. The system call returns 20 less the nice value (getpriority(2)).
func threadsAtNice19(t *testing.T, but []int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
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
		if err == nil && 20-raw == 19 && !slices.Contains(but, tid) {
			low = append(low, tid)
		}
	}
	slices.Sort(low)
	return low
}
