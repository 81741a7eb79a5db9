/// Why a stream can't go on. Whatever the reason, nothing more may be fed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("brackets are nested more than {max} deep at byte {offset}")]
    Depth { offset: u64, max: usize },
    #[error("an item is longer than {max} bytes before it could be judged, at byte {offset}")]
    HeldTooLarge { offset: u64, max: usize },
    #[error("a key is longer than {max} bytes at byte {offset}")]
    KeyTooLong { offset: u64, max: usize },
    #[error("the stream ended with an error before")]
    Poisoned,
    /// The handler, or a rule that can't be kept any more.
    #[error("{0}")]
    Refused(&'static str),
    #[error("a second value at byte {offset}, where one was expected")]
    SecondValue { offset: u64 },
    #[error("a string that has to be looked at is longer than {max} bytes at byte {offset}")]
    ValueTooLong { offset: u64, max: usize },
    #[error("{what} at byte {offset}")]
    Syntax { offset: u64, what: &'static str },
    #[error("the document ends before it is whole")]
    Truncated,
}
