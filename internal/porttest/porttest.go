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

// Kernels assign ports above last to outgoing connections and to listeners on port 0. Such a port
// could be taken after a test has chosen it and before its server listens.
const first, last = 11_000, 32_000

// claims holds an open UDP port for each returned TCP port until the process ends. Therefore two processes never get
// the same TCP port, and a server can restart on its port. The UDP port has a different number, above last: a server
// with HTTP/3 needs the UDP port with the number of its TCP port.
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
