//! The wire format of protobuf (protobuf.dev/programming-guides/encoding).

/// Precedes every document (`protoEncodingPrefix`).
pub(super) const MAGIC: &[u8] = b"k8s\0";

/// Wire types: the lowest three bits of a field's tag.
pub(super) const VARINT: u64 = 0;
pub(super) const FIXED_64: u64 = 1;
pub(super) const LENGTH_DELIMITED: u64 = 2;
pub(super) const START_GROUP: u64 = 3;
pub(super) const END_GROUP: u64 = 4;
pub(super) const FIXED_32: u64 = 5;

/// Appends an integer field.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    put_base_128(out, number << 3 | VARINT);
    put_base_128(out, value);
}

/// Appends a field with a length: a string, bytes or a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    put_base_128(out, number << 3 | LENGTH_DELIMITED);
    put_base_128(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends an integer in groups of seven bits, the lowest first.
fn put_base_128(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
