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

// handshake is the header of a WebSocket request.
var handshake = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://localhost",
}

// Frames of RFC 6455: opcodes, bits and lengths.
const (
	continuation, text, binaryData   = 0, 1, 2
	closing, ping, pong              = 8, 9, 10
	final, masked                    = 0x80, 0x80
	length16, length64, longestShort = 126, 127, 125
)

// byWebSocket turns a step into a WebSocket request. Headers in other replace those of the
// handshake with the same name, or are added.
func byWebSocket(step step, other ...string) step {
	step.overHTTP1 = true
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

func (s step) sendingFrames(frames ...[]byte) step {
	s.frames = frames
	return s
}

// frame returns a client's frame, masked with zeros.
func frame(kind byte, payload string) []byte {
	head := []byte{final | kind, masked | byte(len(payload))}
	if len(payload) > longestShort {
		head = bigendian.BigEndian.AppendUint16([]byte{final | kind, masked | length16}, uint16(len(payload)))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

// readMessages reads frames until the step's lines have arrived. Then it sends the step's frames
// and reads until the server closes. It returns the payloads of all data frames and a description
// of each frame.
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
			kinds += fmt.Sprintf("\n%d with %d lines", kind, bytes.Count(payload, []byte("\n")))
		case final | binaryData:
			// As protobuf events come without WebSocket: each after its length.
			body = append(bigendian.BigEndian.AppendUint32(body, uint32(len(payload))), payload...)
			kinds += fmt.Sprintf("\n%d with one event", kind)
		case final | closing:
			return body, kinds + fmt.Sprintf("\n%d %x", kind, payload), nil
		default:
			kinds += fmt.Sprintf("\n%d %q", kind, payload)
		}
	}
}

// readFrame reads a frame from a server, which does not mask frames. The kind includes the bits for
// the end of the message and for extensions.
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
	creation := createOwn().saving(saveVersion)
	list := get(ownListPath).saving(saveVersion)
	large := strings.Repeat("x", 60_000)
	var all []operation
	for _, form := range watchForms {
		all = append(all,
			single("WebSocket "+form.name, list, byWebSocket(watchLines(watchOwn+fromSavedVersion+form.query, 3, ownChanges(), form.accept))),
			single("WebSocket for all namespaces "+form.name, creation, byWebSocket(watchLines(watchAllByLabel+fromSavedVersion+form.query, 2, ownChanges()[1:], form.accept))),
			single("WebSocket for all namespaces by namespace "+form.name, creation, byWebSocket(watchLines(watchAllByField+fromSavedVersion+form.query, 2, ownChanges()[1:], form.accept))),
			single("WebSocket list "+form.name, createOwn(), byWebSocket(watchLines(watchOwn+initialEvents+form.query, 2, nil, form.accept))),
		)
	}
	all = append(all, handshakeVariants()...)
	return append(all,
		single("watch by WebSocket", createOwn(), byWebSocket(get(watchOwn+oneSecond))),
		single("WebSocket on a missing object's watch", byWebSocket(get(watchOwn+oneSecond))),
		single("WebSocket by the legacy path", createOwn(), byWebSocket(get(legacyPath+"/{name}?timeoutSeconds=1"))),
		single("WebSocket by labels that are removed", creation, byWebSocket(watchLines(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromSavedVersion, 1,
			[]step{patch(mergePatch, ownPath, `{"metadata":{"labels":null}}`)}))),
		single("WebSocket with gzip", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil, "Accept-Encoding: gzip"))),
		single("WebSocket from version 1", byWebSocket(get(watchOwn+"&resourceVersion=1"+oneSecond))),
		single("WebSocket from version 1, Table", byWebSocket(get(watchOwn+"&resourceVersion=1"+oneSecond, acceptTable))),
		single("WebSocket from a future version", byWebSocket(get(watchOwn+"&resourceVersion=999999999"+oneSecond))),
		single("WebSocket from an invalid version", byWebSocket(get(watchOwn+"&resourceVersion=abc"+oneSecond))),
		single("WebSocket by an invalid selector", byWebSocket(get(resourcePath+"?watch=true&labelSelector=a+in+b"+oneSecond))),
		single("WebSocket on a missing resource", byWebSocket(get("/apis/"+groupVersion+"/namespaces/{ns}/nothings?watch=true"))),
		single("WebSocket on a missing version", byWebSocket(get("/apis/k8s.starter.org/v9/namespaces/{ns}/kubernetesclusters?watch=true"))),
		single("WebSocket that closes", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil)).sendingFrames(frame(closing, "\x03\xe8"))),
		single("WebSocket that closes without a code", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil)).sendingFrames(frame(closing, ""))),
		single("WebSocket that pings", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil)).sendingFrames(frame(ping, "there?"), frame(ping, ""), frame(closing, "\x03\xe8"))),
		single("WebSocket that sends data", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil)).sendingFrames(
			frame(text, "hello"), frame(binaryData, large), frame(pong, "x"), frame(ping, "x"), frame(closing, "\x03\xe8"))),
		single("WebSocket that does not mask", createOwn(), byWebSocket(watchLines(watchOwn, 1, nil)).sendingFrames([]byte{final | text, 1, 'x'})),
	)
}

// handshakeVariants are unusual WebSocket handshakes. kube-apiserver rejects some of them.
func handshakeVariants() []operation {
	withHeaders := func(name string, other ...string) operation {
		return single("WebSocket with "+name, createOwn(), byWebSocket(get(watchOwn+oneSecond), other...))
	}
	return []operation{
		withHeaders("protocol binary.k8s.io", "Sec-WebSocket-Protocol: binary.k8s.io"),
		withHeaders("protocol base64.binary.k8s.io", "Sec-WebSocket-Protocol: base64.binary.k8s.io"),
		withHeaders("an unknown protocol", "Sec-WebSocket-Protocol: whatever"),
		withHeaders("two protocols in one header", "Sec-WebSocket-Protocol: binary.k8s.io, base64.binary.k8s.io"),
		withHeaders("two protocol headers", "Sec-WebSocket-Protocol: binary.k8s.io", "Sec-WebSocket-Protocol: base64.binary.k8s.io"),
		withHeaders("a protocol and a trailing comma", "Sec-WebSocket-Protocol: binary.k8s.io,"),
		withHeaders("an extension", "Sec-WebSocket-Extensions: permessage-deflate"),
		withHeaders("no origin", "Origin: "),
		withHeaders("the origin null", "Origin: null"),
		withHeaders("a path as its origin", "Origin: /"),
		withHeaders("an origin with another scheme", "Origin: chrome-extension://abc"),
		withHeaders("no key", "Sec-WebSocket-Key: "),
		withHeaders("a short key", "Sec-WebSocket-Key: abc"),
		withHeaders("no version", "Sec-WebSocket-Version: "),
		withHeaders("version 8", "Sec-WebSocket-Version: 8"),
		withHeaders("capitalised headers", "Connection: UPGRADE", "Upgrade: WebSocket"),
		withHeaders("several values in Connection", "Connection: keep-alive, Upgrade"),
		withHeaders("Upgrade in a second Connection header", "Connection: keep-alive", "Connection: Upgrade"),
		withHeaders("no Upgrade in Connection", "Connection: keep-alive"),
		withHeaders("no Upgrade header", "Upgrade: "),
		withHeaders("SPDY as the protocol", "Upgrade: SPDY/3.1"),
		single("WebSocket by HEAD", byWebSocket(step{method: "HEAD", path: watchOwn + oneSecond})),
		single("WebSocket by POST to the legacy path", byWebSocket(step{method: "POST", path: legacyPath + "?timeoutSeconds=1"})),
		single("WebSocket on an object", createOwn(), byWebSocket(get(ownPath))),
		single("WebSocket on a list", byWebSocket(get(resourcePath+"?fieldSelector=metadata.name%3D{name}"))),
		single("WebSocket on a missing object", byWebSocket(get(ownPath))),
	}
}
