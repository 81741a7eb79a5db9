//! What a stream keeps from chunk to chunk.

/// Bytes of each list for which a stream keeps memory from chunk to chunk.
const KEPT_BYTES: usize = 512;

/// Frees an empty list's memory, if it is more than a little.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    if list.is_empty() && list.capacity() * size_of::<T>() > KEPT_BYTES {
        *list = Vec::new();
    }
}
