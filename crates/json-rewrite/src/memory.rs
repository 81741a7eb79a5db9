//! Limits the memory that a stream keeps between chunks.

/// The capacity in bytes that a list may keep while it is empty.
const KEPT_BYTES: usize = 256;

/// Frees the memory of an empty list if it has more than a small capacity.
pub(super) fn shrink_if_empty<T>(list: &mut Vec<T>) {
    shrink_if_empty_above(KEPT_BYTES, list);
}

/// Frees the memory of an empty list if its capacity is above `bytes`.
pub(super) fn shrink_if_empty_above<T>(bytes: usize, list: &mut Vec<T>) {
    if list.is_empty() && list.capacity() * size_of::<T>() > bytes {
        *list = Vec::new();
    }
}
