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

// streams are the open streams of the revocation feed. Below maxStreams, a network may have any number of streams. At
// maxStreams, a new stream of a network with few streams replaces a stream of the network with the most streams. An
// attacker with many connections thus can't shut out others.
type streams struct {
	mu    sync.Mutex
	total int
	of    map[string][]*openStream // by client network, the oldest stream first
	ended chan struct{}            // closed when the server stops
}

// An openStream is one reader of the feed.
type openStream struct {
	network string
	ended   chan struct{} // closed when another network's stream replaces this one
}

// isReplaced reports whether a stream of another network has replaced this stream.
func (o *openStream) isReplaced() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// newStreams is called once per server. All handlers share the result.
func newStreams() *streams {
	return &streams{of: map[string][]*openStream{}, ended: make(chan struct{})}
}

// networkOf returns the network by which the streams of a client are counted. It is an IPv4 address or an IPv6 /48,
// which is the size that providers assign to one site.
func networkOf(addr netip.Addr) string {
	if addr.Is6() && !addr.Is4In6() {
		if prefix, err := addr.WithZone("").Prefix(48); err == nil {
			return prefix.String()
		}
	}
	return clientip.Key(addr)
}

// The method open registers a stream of a network. It returns nil if the server is stopping. It also returns nil if
// maxStreams are open and the network may not replace another network's stream. The caller must call the method close
// for the stream.
func (s *streams) open(network string) *openStream {
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
		most := s.largest()
		if len(s.of[network])+1 >= len(s.of[most]) {
			return nil
		}
		oldest := s.of[most][0]
		s.remove(oldest)
		close(oldest.ended)
	}
	stream := &openStream{network, make(chan struct{})}
	s.total++
	s.of[network] = append(s.of[network], stream)
	return stream
}

// largest returns the network with the most streams. The caller holds s.mu. It checks all
// networks, at most maxStreams, and runs only when the maximum is reached.
func (s *streams) largest() (most string) {
	for network, open := range s.of {
		if len(open) > len(s.of[most]) {
			most = network
		}
	}
	return most
}

// The method close removes a stream. Each opened stream must be closed exactly once, even if another network's stream
// replaced it.
func (s *streams) close(o *openStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(o)
}

// remove has no effect for a stream that another network replaced. The caller holds s.mu.
func (s *streams) remove(o *openStream) {
	open := s.of[o.network]
	i := slices.Index(open, o)
	if i < 0 {
		return
	}
	s.total--
	s.of[o.network] = slices.Delete(open, i, i+1)
	// A network without streams must leave the map, so that the map does not grow forever.
	if len(open) == 1 {
		delete(s.of, o.network)
	}
}

// count returns the number of open streams. It is for the metrics.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// The method wait returns true when the feed has changed, and false when the stream has ended. A heartbeat is also a
// change. The server therefore writes to each stream regularly and detects disconnected clients.
func (s *streams) wait(r *http.Request, stream *openStream, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-r.Context().Done():
	case <-stream.ended:
	case <-s.ended:
	}
	return false
}

// The method end ends all streams. Later calls of open return nil, and a second call of end has no effect. If the
// streams were not ended, a shutdown would wait for them until its timeout.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
}
