package server

import (
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/watchword-auth/watchword/internal/clientip"
)

// maxStreams is the maximum number of open streams of a server process. Each stream uses a goroutine and a socket.
// Services that get no stream can poll.
const maxStreams = 1000

// A streamRegistry has the open streams of the revocation feed. Below maxStreams, a network may have any number of
// streams. At maxStreams, a new stream of a network with few streams replaces a stream of the network with the most
// streams. An attacker with many connections thus can't shut out others.
type streamRegistry struct {
	mu        sync.Mutex
	total     int
	byNetwork map[string][]*openStream // the oldest stream first
	ended     chan struct{}            // closed when the server stops
}

// An openStream is one reader of the feed.
type openStream struct {
	network string
	ended   chan struct{} // closed when another network's stream replaces this one
}

// isReplaced is true after a stream of another network has replaced this one. It never blocks.
func (o *openStream) isReplaced() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// newStreams is called once per server. All handlers share the result.
func newStreams() *streamRegistry {
	return &streamRegistry{byNetwork: map[string][]*openStream{}, ended: make(chan struct{})}
}

// streamNetwork returns the network by which the streams of a client are counted. It is an IPv4 address or an IPv6
// /48, which is the size that providers assign to one site.
func streamNetwork(addr netip.Addr) string {
	if addr.Is6() && !addr.Is4In6() {
		if prefix, err := addr.WithZone("").Prefix(48); err == nil {
			return prefix.String()
		}
	}
	return clientip.Key(addr)
}

// register returns nil if the server is stopping. It also returns nil if maxStreams are open and the network may not
// replace another network's stream. The caller must call unregister for the returned stream.
func (s *streamRegistry) register(network string) *openStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	default:
	}
	// The network replaces a stream of the largest network only if it afterwards has at most as many streams as that
	// network. Otherwise two equal networks would replace each other's streams forever.
	if s.total >= maxStreams {
		most := s.largestNetwork()
		if len(s.byNetwork[network])+1 >= len(s.byNetwork[most]) {
			return nil
		}
		oldest := s.byNetwork[most][0]
		s.remove(oldest)
		close(oldest.ended)
	}
	stream := &openStream{network, make(chan struct{})}
	s.total++
	s.byNetwork[network] = append(s.byNetwork[network], stream)
	return stream
}

// largestNetwork checks all networks, at most maxStreams, and runs only when the maximum is reached. The caller holds
// s.mu.
func (s *streamRegistry) largestNetwork() (largest string) {
	for network, open := range s.byNetwork {
		if len(open) > len(s.byNetwork[largest]) {
			largest = network
		}
	}
	return largest
}

// unregister must be called exactly once for each registered stream, even if another network's stream replaced it.
func (s *streamRegistry) unregister(o *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(o)
}

// remove has no effect for a stream that another network replaced. The caller holds s.mu.
func (s *streamRegistry) remove(o *openStream) {
	open := s.byNetwork[o.network]
	i := slices.Index(open, o)
	if i < 0 {
		return
	}
	s.total--
	s.byNetwork[o.network] = slices.Delete(open, i, i+1)
	// A network without streams must leave the map, so that the map does not grow forever.
	if len(open) == 1 {
		delete(s.byNetwork, o.network)
	}
}

// countOpen is for the metric watchword_feed_streams and for tests.
func (s *streamRegistry) countOpen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// waitForChange returns false when the stream has ended. A heartbeat also counts as a change. The server therefore
// writes to each stream regularly and detects disconnected clients.
func (s *streamRegistry) waitForChange(r *http.Request, stream *openStream, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-r.Context().Done():
	case <-stream.ended:
	case <-s.ended:
	}
	return false
}

// endAll ends all streams, and register returns nil from then on. A second call has no effect. Without endAll, a
// shutdown would wait for open streams until its timeout.
func (s *streamRegistry) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
}
