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

// firstPort and lastPort bound the ports that Free chooses. Kernels assign higher ports to outgoing connections and
// to listeners on port 0. Such a port could be taken after a test has chosen it and before its server listens.
const firstPort, lastPort = 11_000, 32_000

// claimedPorts prevents other test processes from getting the same TCP ports, even while a server restarts. For each
// returned TCP port, it keeps a UDP port open until this process ends. The number of this UDP port is the TCP port
// plus an offset. Without the offset, a server with HTTP/3 could not use the UDP port with the same number as its TCP
// port.
var claimedPorts struct {
	sync.Mutex
	open []net.PacketConn
}

// Free returns a TCP port without a listener. No other call returns it while this process runs.
func Free() (int, error) {
	for range 1000 {
		offset, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstPort))
		if err != nil {
			return 0, err
		}
		port := firstPort + int(offset.Int64())
		claim, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port+lastPort-firstPort+1))
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
		claimedPorts.Lock()
		defer claimedPorts.Unlock()
		claimedPorts.open = append(claimedPorts.open, claim)
		return port, nil
	}
	return 0, errors.New("no port is free")
}
