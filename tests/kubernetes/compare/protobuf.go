package compare

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1beta1 "k8s.io/apimachinery/pkg/apis/meta/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
)

var protobufMagic = []byte("k8s\x00")

// message is implemented by the types that gogo/protobuf generates.
type message interface {
	Unmarshal([]byte) error
	Marshal() ([]byte, error)
}

// fromProtobuf returns a document as JSON, in which values can be scrubbed. It also checks that
// Kubernetes' own encoder would write exactly these bytes.
func fromProtobuf(document []byte) []byte {
	var unknown runtime.Unknown
	if err := unknown.Unmarshal(document[len(protobufMagic):]); err != nil {
		return fmt.Appendf(nil, "broken protobuf: %v\n%q", err, document)
	}
	kinds := map[string]message{
		"Status": &metav1.Status{}, "APIResourceList": &metav1.APIResourceList{}, "PartialObjectMetadata": &metav1.PartialObjectMetadata{},
		"PartialObjectMetadataList": &metav1.PartialObjectMetadataList{},
	}
	object := kinds[unknown.Kind]
	if unknown.Kind == "PartialObjectMetadataList" && unknown.APIVersion == "meta.k8s.io/v1beta1" {
		// Its fields have other numbers.
		object = &metav1beta1.PartialObjectMetadataList{}
	}
	if object == nil {
		return fmt.Appendf(nil, "protobuf of an unknown kind\n%q", document)
	}
	if err := object.Unmarshal(unknown.Raw); err != nil {
		return fmt.Appendf(nil, "broken %s: %v\n%q", unknown.Kind, err, document)
	}
	raw, err := object.Marshal()
	must(err)
	unknown.Raw = raw
	again, err := unknown.Marshal()
	must(err)
	if !bytes.Equal(append(bytes.Clone(protobufMagic), again...), document) {
		return fmt.Appendf(nil, "protobuf that Kubernetes would encode differently\n%q", document)
	}
	text, err := json.Marshal(object)
	must(err)
	return fmt.Appendf(nil, `{"protobuf":%q,"apiVersion":%q,"contentEncoding":%q,"contentType":%q}`+"\n%s\n",
		unknown.Kind, unknown.APIVersion, unknown.ContentEncoding, unknown.ContentType, text)
}

// fromProtobufStream returns a watch's length-delimited events as JSON.
func fromProtobufStream(stream []byte) (text []byte) {
	for len(stream) > 0 {
		var event metav1.WatchEvent
		length := uint64(len(stream))
		if length >= 4 {
			length = 4 + uint64(binary.BigEndian.Uint32(stream))
		}
		if length > uint64(len(stream)) || event.Unmarshal(stream[min(4, length):length]) != nil || !bytes.HasPrefix(event.Object.Raw, protobufMagic) {
			return fmt.Appendf(text, "broken event\n%q", stream)
		}
		again, err := event.Marshal()
		must(err)
		if !bytes.Equal(again, stream[4:length]) {
			return fmt.Appendf(text, "event that Kubernetes would encode differently\n%q", stream)
		}
		text = fmt.Appendf(text, "{\"type\":%q}\n%s", event.Type, fromProtobuf(event.Object.Raw))
		stream = stream[length:]
	}
	return text
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Frames reads the given number of length-delimited protobuf events.
func Frames(from io.Reader, count int) (body []byte, err error) {
	for range count {
		var length [4]byte
		if _, err = io.ReadFull(from, length[:]); err != nil {
			break
		}
		frame := make([]byte, binary.BigEndian.Uint32(length[:]))
		_, err = io.ReadFull(from, frame)
		body = append(append(body, length[:]...), frame...)
		if err != nil {
			break
		}
	}
	return body, err
}
