//! The errors that end a stream.

/// An error that ends a stream. The stream is poisoned after any of them.
///
/// An `offset` counts bytes from the start of the stream; `max` is the limit that was exceeded. If a limit was
/// exceeded, `offset` is the first byte beyond it, however the stream was cut into chunks.
///
/// There is one exception. Edits in the current item count towards
/// [`Limits::buffered_bytes_max`](super::Limits::buffered_bytes_max) from the moment they are made. So the
/// offset of [`BufferLimit`](Self::BufferLimit) can depend on the chunks.
#[allow(missing_docs, reason = "`offset` and `max` mean the same in each")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RewriteError {
    /// Containers are nested deeper than [`Limits::depth_max`](super::Limits::depth_max).
    #[error("brackets are nested more than {max} deep at byte {offset}")]
    TooDeep { offset: u64, max: usize },
    /// More bytes wait for a decision than [`Limits::buffered_bytes_max`](super::Limits::buffered_bytes_max).
    #[error("more than {max} bytes would have to be buffered at byte {offset}")]
    BufferLimit { offset: u64, max: usize },
    /// A key is longer than [`Limits::key_bytes_max`](super::Limits::key_bytes_max).
    #[error("a key is longer than {max} bytes at byte {offset}")]
    KeyTooLong { offset: u64, max: usize },
    /// The stream already failed or was finished, or the handler panicked.
    #[error("the stream has already ended")]
    Poisoned,
    /// The handler rejected a value, or returned an edit that is not allowed here.
    #[error("{0}")]
    Rejected(&'static str),
    /// A second value follows, with [`Framing::SingleValue`](super::Framing::SingleValue).
    #[error("unexpected second value at byte {offset}")]
    SecondValue { offset: u64 },
    /// A string for the handler is longer than [`Limits::string_bytes_max`](super::Limits::string_bytes_max).
    #[error("a string that has to be read is longer than {max} bytes at byte {offset}")]
    StringTooLong { offset: u64, max: usize },
    /// A checked part of the stream is not JSON.
    #[error("{what} at byte {offset}")]
    Syntax { offset: u64, what: &'static str },
    /// The stream was finished in the middle of a document.
    #[error("the document is incomplete")]
    Truncated,
}
