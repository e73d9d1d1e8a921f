package porttest_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/watchword-auth/watchword/internal/porttest"
)

func TestEachPortIsFreeAndReturnedOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[int]bool{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			port, err := porttest.Free()
			if err != nil {
				t.Error(err)
				return
			}
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Errorf("port %d is not free: %v", port, err)
				return
			}
			_ = listener.Close()
			datagrams, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port)) // for HTTP/3
			if err != nil {
				t.Errorf("port %d is not free: %v", port, err)
				return
			}
			_ = datagrams.Close()
			mu.Lock()
			defer mu.Unlock()
			if seen[port] {
				t.Errorf("port %d was returned twice", port)
			}
			seen[port] = true
		})
	}
	all.Wait()
}
