/// Why a stream can't go on. Whatever the reason, nothing more may be fed. An `offset` counts from the
/// stream's first byte, and `max` is the bound that is not kept. At a bound the offset is that of the
/// first byte beyond it; only of [`HeldTooLarge`](Self::HeldTooLarge) it depends on the chunks, where
/// changes in the item in hand take of the bound, since they do so when they are seen.
#[allow(missing_docs, reason = "the same fields in each")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// See [`Limits::depth_max`](super::Limits::depth_max).
    #[error("brackets are nested more than {max} deep at byte {offset}")]
    Depth { offset: u64, max: usize },
    /// See [`Limits::held_bytes_max`](super::Limits::held_bytes_max).
    #[error("more than {max} bytes would have to wait for a decision, at byte {offset}")]
    HeldTooLarge { offset: u64, max: usize },
    /// See [`Limits::key_bytes_max`](super::Limits::key_bytes_max).
    #[error("a key is longer than {max} bytes at byte {offset}")]
    KeyTooLong { offset: u64, max: usize },
    /// There was an error before, the handler panicked, or the stream was finished.
    #[error("the stream has ended before")]
    Poisoned,
    /// The handler, or a rule that can't be kept any more.
    #[error("{0}")]
    Refused(&'static str),
    /// Only with [`Framing::One`](super::Framing::One).
    #[error("a second value at byte {offset}, where one was expected")]
    SecondValue { offset: u64 },
    /// See [`Limits::string_bytes_max`](super::Limits::string_bytes_max).
    #[error("a string that has to be looked at is longer than {max} bytes at byte {offset}")]
    ValueTooLong { offset: u64, max: usize },
    /// It is no JSON, where that is checked.
    #[error("{what} at byte {offset}")]
    Syntax { offset: u64, what: &'static str },
    /// The stream was finished too early.
    #[error("the document ends before it is whole")]
    Truncated,
}
