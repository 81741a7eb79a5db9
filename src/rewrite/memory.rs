//! What a stream keeps from chunk to chunk.

/// Bytes of each list for which a stream keeps memory from chunk to chunk.
const KEPT_BYTES: usize = 256;

/// Frees an empty list's memory, if it is more than a little.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    give_back_beyond(KEPT_BYTES, list);
}

/// The same for a list of which so many bytes are needed again and again.
pub(super) fn give_back_beyond<T>(bytes: usize, list: &mut Vec<T>) {
    if list.is_empty() && list.capacity() * size_of::<T>() > bytes {
        *list = Vec::new();
    }
}
