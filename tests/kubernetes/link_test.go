package kubernetes

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// link is the network between claimgate and the control plane. It can fail in several ways.
type link struct {
	target string
	port   int

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	// Bytes received from the control plane.
	received int64
	// While set, new connections are accepted but not served, and open ones forward nothing.
	stalled chan struct{}
	// If not 0, connections break after this many more bytes from the control plane.
	cutAfter int64
}

func newLink(target string) (*link, error) {
	l := &link{target: target, conns: map[net.Conn]bool{}}
	return l, l.listen()
}

func (l *link) listen() error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.listener, l.port = listener, listener.Addr().(*net.TCPAddr).Port
	l.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	return nil
}

func (l *link) serve(client net.Conn) {
	defer client.Close()
	if wait := l.stalledChannel(); wait != nil {
		<-wait
		return
	}
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	l.conns[client], l.conns[server] = true, true
	l.mu.Unlock()
	go l.copy(server, client, false)
	l.copy(client, server, true)
	l.mu.Lock()
	delete(l.conns, client)
	delete(l.conns, server)
	l.mu.Unlock()
}

func (l *link) copy(to, from net.Conn, fromControlPlane bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if wait := l.stalledChannel(); wait != nil {
			<-wait
			return
		}
		if fromControlPlane && l.count(int64(n)) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// count adds received bytes and reports whether the connection must break before forwarding them.
func (l *link) count(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received += n
	if l.cutAfter == 0 {
		return false
	}
	l.cutAfter -= n
	if l.cutAfter <= 0 {
		l.cutAfter = 1
		return true
	}
	return false
}

func (l *link) cutAfterBytes(bytes int64) {
	l.mu.Lock()
	l.cutAfter = bytes
	l.mu.Unlock()
}

func (l *link) receivedBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.received
}

func (l *link) stalledChannel() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stalled
}

// refuseConnections closes the listener and all connections, so that new connections are refused.
func (l *link) refuseConnections() {
	l.mu.Lock()
	l.listener.Close()
	for conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
}

// stopForwarding keeps connections open and forwards nothing.
func (l *link) stopForwarding() {
	l.mu.Lock()
	l.stalled = make(chan struct{})
	l.mu.Unlock()
}

// closeConnections closes open connections and keeps accepting new ones.
func (l *link) closeConnections() {
	l.mu.Lock()
	for conn := range l.conns {
		conn.Close()
	}
	l.mu.Unlock()
}

// restore ends all failures.
func (l *link) restore() error {
	l.mu.Lock()
	if l.stalled != nil {
		close(l.stalled)
		l.stalled = nil
	}
	l.cutAfter = 0
	l.listener.Close()
	l.mu.Unlock()
	return l.listen()
}

var _ io.Closer = (net.Conn)(nil)
