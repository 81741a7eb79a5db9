//! Numbers and literals, checked one byte at a time (RFC 8259 §3 and §6).

/// The state after the bytes of a number or literal that have been read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar {
    /// The bytes of `true`, `false` or `null` that are still expected.
    Literal(&'static [u8]),
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Scalar {
    /// Starts with the first byte of a value. Returns `None` if it begins neither a number nor a literal.
    #[inline]
    pub(super) fn begin(byte: u8) -> Option<Self> {
        Some(match byte {
            b't' => Self::Literal(b"rue"),
            b'f' => Self::Literal(b"alse"),
            b'n' => Self::Literal(b"ull"),
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            b'1'..=b'9' => Self::Integer,
            _ => return None,
        })
    }

    /// Returns `None` if the byte does not continue it.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Literal(rest), byte) => match rest.split_first() {
                Some((next, rest)) if *next == byte => Self::Literal(rest),
                _ => return None,
            },
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Self::ExponentDigits
            }
            _ => return None,
        })
    }

    /// Returns whether the number or literal is complete.
    #[inline]
    pub(super) fn is_complete(self) -> bool {
        match self {
            Self::Literal(rest) => rest.is_empty(),
            Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits => true,
            Self::Minus | Self::Point | Self::Exponent | Self::ExponentSign => false,
        }
    }
}
