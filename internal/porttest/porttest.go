// Package porttest finds ports for the servers that tests start.
package porttest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
)

// Free chooses a port from this range. Kernels assign higher ports to outgoing connections and to listeners on port
// 0. Such a port could be taken after a test has chosen it and before its server listens.
const first, last = 11_000, 32_000

// claims prevents other test processes from getting the same TCP ports, even while a server restarts. For each
// returned TCP port, it keeps a UDP port open until this process ends. The number of this UDP port is the TCP port
// plus an offset. Without the offset, a server with HTTP/3 could not use the UDP port with the same number as its TCP
// port.
var claims struct {
	sync.Mutex
	open []net.PacketConn
}

// Free returns a TCP port without a listener. No other call returns it while this process runs.
func Free() (int, error) {
	for range 1000 {
		offset, err := rand.Int(rand.Reader, big.NewInt(last-first))
		if err != nil {
			return 0, err
		}
		port := first + int(offset.Int64())
		claim, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port+last-first+1))
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port)) // on all addresses, IPv6 too
		if err == nil {
			err = listener.Close()
		}
		if err != nil {
			_ = claim.Close()
			continue
		}
		claims.Lock()
		defer claims.Unlock()
		claims.open = append(claims.open, claim)
		return port, nil
	}
	return 0, errors.New("no port is free")
}
