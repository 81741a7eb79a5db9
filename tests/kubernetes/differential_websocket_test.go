package kubernetes

import (
	"bufio"
	"bytes"
	bigendian "encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// handshake is what a request for a WebSocket has.
var handshake = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://localhost",
}

// Frames of RFC 6455.
const (
	continuation, text, binaryData   = 0, 1, 2
	closing, ping, pong              = 8, 9, 10
	final, masked                    = 0x80, 0x80
	length16, length64, longestShort = 126, 127, 125
)

// byWebSocket makes a step one that asks for an upgrade; other headers stand in for the usual ones
// of the same name, or go with them.
func byWebSocket(step step, other ...string) step {
	step.http1 = true
	for _, usual := range handshake {
		name, _, _ := strings.Cut(usual, ":")
		if !slices.ContainsFunc(other, func(header string) bool { return strings.HasPrefix(header, name+":") }) {
			step.headers = append(step.headers, usual)
		}
	}
	for _, header := range other {
		if _, value, _ := strings.Cut(header, ": "); value != "" {
			step.headers = append(step.headers, header)
		}
	}
	return step
}

func (s step) sending(frames ...[]byte) step {
	s.frames = frames
	return s
}

// frame is one from a client, masked with zeros.
func frame(kind byte, payload string) []byte {
	head := []byte{final | kind, masked | byte(len(payload))}
	if len(payload) > longestShort {
		head = bigendian.BigEndian.AppendUint16([]byte{final | kind, masked | length16}, uint16(len(payload)))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

// readMessages takes what comes until so many lines came, and after the step's frames were sent until
// the server closes. Told of are the payloads of all data, and the kind of each frame.
func readMessages(socket io.ReadWriter, step step) (body []byte, kinds string, err error) {
	kinds = "\n--- frames"
	reader := bufio.NewReader(socket)
	for {
		if step.lines > 0 && bytes.Count(body, []byte("\n")) == step.lines {
			if step.frames == nil {
				return body, kinds, nil
			}
			if _, err := socket.Write(bytes.Join(step.frames, nil)); err != nil {
				return body, kinds, err
			}
			step.lines = 0
		}
		kind, payload, err := readFrame(reader)
		if err != nil {
			return body, kinds, err
		}
		switch kind {
		case final | text:
			body = append(body, payload...)
			kinds += fmt.Sprintf("\n%d of %d lines", kind, bytes.Count(payload, []byte("\n")))
		case final | binaryData:
			// As they come without messages.
			body = append(bigendian.BigEndian.AppendUint32(body, uint32(len(payload))), payload...)
			kinds += fmt.Sprintf("\n%d of one event", kind)
		case final | closing:
			return body, kinds + fmt.Sprintf("\n%d %x", kind, payload), nil
		default:
			kinds += fmt.Sprintf("\n%d %q", kind, payload)
		}
	}
}

// readFrame takes one from a server, which masks none. Its kind has the bits for its end and for
// extensions.
func readFrame(reader io.Reader) (kind byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(reader, head[:]); err != nil {
		return 0, nil, err
	}
	length := uint64(head[1])
	if bytes, isLong := map[uint64]int{length16: 2, length64: 8}[length]; isLong {
		long := make([]byte, 8)
		if _, err := io.ReadFull(reader, long[8-bytes:]); err != nil {
			return 0, nil, err
		}
		length = bigendian.BigEndian.Uint64(long)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(reader, payload)
	return head[0], payload, err
}

func websocketOperations() []operation {
	seen := created().keeping(ownVersion)
	list := get(oneOfThem).keeping(ownVersion)
	large := strings.Repeat("x", 60_000)
	var all []operation
	for _, form := range []struct{ name, query, accept string }{
		{"JSON", "", "Accept: application/json"},
		{"Table", "", acceptTable},
		{"Table without objects", "&includeObject=None", acceptTable},
		{"metadata", "", acceptPart},
	} {
		all = append(all,
			single("WebSocket "+form.name, list, byWebSocket(watching(watchOwn+fromOwn+form.query, 3, changes(), form.accept))),
			single("WebSocket everywhere "+form.name, seen, byWebSocket(watching(everywhereMy+fromOwn+form.query, 2, changes()[1:], form.accept))),
			single("WebSocket everywhere by namespace "+form.name, seen, byWebSocket(watching(everywhereBy+fromOwn+form.query, 2, changes()[1:], form.accept))),
			single("WebSocket list "+form.name, created(), byWebSocket(watching(watchOwn+initial+form.query, 2, nil, form.accept))),
		)
	}
	all = append(all, refusedHandshakes()...)
	return append(all,
		single("watch by WebSocket", created(), byWebSocket(get(watchOwn+short))),
		single("WebSocket on nothing", byWebSocket(get(watchOwn+short))),
		single("WebSocket by the legacy path", created(), byWebSocket(get(legacy+"/{name}?timeoutSeconds=1"))),
		single("WebSocket by labels that go", seen, byWebSocket(watching(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromOwn, 1,
			[]step{patch(mergePatch, own, `{"metadata":{"labels":null}}`)}))),
		single("WebSocket and gzip", created(), byWebSocket(watching(watchOwn, 1, nil, "Accept-Encoding: gzip"))),
		single("WebSocket from version 1", byWebSocket(get(watchOwn+"&resourceVersion=1"+short))),
		single("WebSocket from version 1, Table", byWebSocket(get(watchOwn+"&resourceVersion=1"+short, acceptTable))),
		single("WebSocket from a future version", byWebSocket(get(watchOwn+"&resourceVersion=999999999"+short))),
		single("WebSocket from no version", byWebSocket(get(watchOwn+"&resourceVersion=abc"+short))),
		single("WebSocket by a broken selector", byWebSocket(get(resourcePath+"?watch=true&labelSelector=a+in+b"+short))),
		single("WebSocket on a missing resource", byWebSocket(get("/apis/"+groupVersion+"/namespaces/{ns}/nothings?watch=true"))),
		single("WebSocket on a missing version", byWebSocket(get("/apis/k8s.starter.org/v9/namespaces/{ns}/kubernetesclusters?watch=true"))),
		single("WebSocket that closes", created(), byWebSocket(watching(watchOwn, 1, nil)).sending(frame(closing, "\x03\xe8"))),
		single("WebSocket that closes with no code", created(), byWebSocket(watching(watchOwn, 1, nil)).sending(frame(closing, ""))),
		single("WebSocket that pings", created(), byWebSocket(watching(watchOwn, 1, nil)).sending(frame(ping, "there?"), frame(ping, ""), frame(closing, "\x03\xe8"))),
		single("WebSocket that talks", created(), byWebSocket(watching(watchOwn, 1, nil)).sending(
			frame(text, "hello"), frame(binaryData, large), frame(pong, "x"), frame(ping, "x"), frame(closing, "\x03\xe8"))),
		single("WebSocket that does not mask", created(), byWebSocket(watching(watchOwn, 1, nil)).sending([]byte{final | text, 1, 'x'})),
	)
}

// refusedHandshakes are those that kube-apiserver refuses, and those that one might expect it to.
func refusedHandshakes() []operation {
	with := func(name string, other ...string) operation {
		return single("WebSocket with "+name, created(), byWebSocket(get(watchOwn+short), other...))
	}
	return []operation{
		with("protocol binary.k8s.io", "Sec-WebSocket-Protocol: binary.k8s.io"),
		with("protocol base64.binary.k8s.io", "Sec-WebSocket-Protocol: base64.binary.k8s.io"),
		with("an unknown protocol", "Sec-WebSocket-Protocol: whatever"),
		with("two protocols", "Sec-WebSocket-Protocol: binary.k8s.io, base64.binary.k8s.io"),
		with("two headers of protocols", "Sec-WebSocket-Protocol: binary.k8s.io", "Sec-WebSocket-Protocol: base64.binary.k8s.io"),
		with("a protocol and a comma", "Sec-WebSocket-Protocol: binary.k8s.io,"),
		with("an extension", "Sec-WebSocket-Extensions: permessage-deflate"),
		with("no origin", "Origin: "),
		with("an origin of null", "Origin: null"),
		with("a path as origin", "Origin: /"),
		with("an origin of another scheme", "Origin: chrome-extension://abc"),
		with("no key", "Sec-WebSocket-Key: "),
		with("a short key", "Sec-WebSocket-Key: abc"),
		with("no version", "Sec-WebSocket-Version: "),
		with("version 8", "Sec-WebSocket-Version: 8"),
		with("capitals", "Connection: UPGRADE", "Upgrade: WebSocket"),
		with("more in Connection", "Connection: keep-alive, Upgrade"),
		with("the upgrade second in Connection", "Connection: keep-alive", "Connection: Upgrade"),
		with("no upgrade in Connection", "Connection: keep-alive"),
		with("no protocol to upgrade to", "Upgrade: "),
		with("SPDY instead", "Upgrade: SPDY/3.1"),
		single("WebSocket by HEAD", byWebSocket(step{method: "HEAD", path: watchOwn + short})),
		single("WebSocket by POST to the legacy path", byWebSocket(step{method: "POST", path: legacy + "?timeoutSeconds=1"})),
		single("WebSocket on an object", created(), byWebSocket(get(own))),
		single("WebSocket on a list", byWebSocket(get(resourcePath+"?fieldSelector=metadata.name%3D{name}"))),
		single("WebSocket on a missing object", byWebSocket(get(own))),
	}
}
