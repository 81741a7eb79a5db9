//! Unescapes the outer string one byte at a time, and tracks the offset of each byte in the stream.

use crate::escape;

/// The state of the outer string's escapes. `from` is the offset of the current escape's backslash.
#[derive(Debug, Default)]
pub(super) enum OuterEscape {
    #[default]
    None,
    Backslash {
        from: u64,
    },
    Unicode {
        from: u64,
        digits: u8,
        unit: u32,
        high: Option<HighSurrogate>,
    },
    /// After a high surrogate. A low surrogate may follow.
    High(HighSurrogate),
    HighBackslash {
        high: HighSurrogate,
        from: u64,
    },
}

/// The first half of a surrogate pair, and its offsets in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct HighSurrogate {
    from: u64,
    to: u64,
    unit: u32,
}

impl HighSurrogate {
    /// Emits a high surrogate that no low surrogate follows.
    fn emit_alone(self, emit: &mut impl FnMut(u8, u64, u64)) {
        emit_code_point(self.unit, self.from, self.to, emit);
    }
}

impl OuterEscape {
    /// Continues with a raw byte at the offset `at`. Calls `emit` for each unescaped byte, with the offsets of
    /// its raw bytes. Returns whether the escape is valid so far.
    pub(super) fn push(&mut self, byte: u8, at: u64, emit: &mut impl FnMut(u8, u64, u64)) -> bool {
        match *self {
            Self::None if byte == b'\\' => *self = Self::Backslash { from: at },
            Self::None => emit(byte, at, at + 1),
            Self::Backslash { from } => return self.escaped(byte, from, at, None, emit),
            Self::High(high) if byte == b'\\' => *self = Self::HighBackslash { high, from: at },
            Self::High(high) => {
                *self = Self::None;
                high.emit_alone(emit);
                emit(byte, at, at + 1);
            }
            Self::HighBackslash { high, from } => {
                return self.escaped(byte, from, at, Some(high), emit);
            }
            Self::Unicode {
                from,
                digits,
                unit,
                high,
            } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return false;
                };
                let unit = unit * 16 + digit;
                if digits == 3 {
                    self.unit(unit, from, at + 1, high, emit);
                } else {
                    *self = Self::Unicode {
                        from,
                        digits: digits + 1,
                        unit,
                        high,
                    };
                }
            }
        }
        true
    }

    /// Continues with the byte after a backslash.
    fn escaped(
        &mut self,
        byte: u8,
        from: u64,
        at: u64,
        high: Option<HighSurrogate>,
        emit: &mut impl FnMut(u8, u64, u64),
    ) -> bool {
        if byte == b'u' {
            *self = Self::Unicode {
                from,
                digits: 0,
                unit: 0,
                high,
            };
            return true;
        }
        *self = Self::None;
        if let Some(high) = high {
            high.emit_alone(emit);
        }
        let Some(byte) = escape::one_letter(byte) else {
            return false;
        };
        emit(byte, from, at + 1);
        true
    }

    /// Continues with a complete UTF-16 code unit, which may be half of a surrogate pair.
    fn unit(
        &mut self,
        unit: u32,
        from: u64,
        to: u64,
        high: Option<HighSurrogate>,
        emit: &mut impl FnMut(u8, u64, u64),
    ) {
        *self = Self::None;
        if let Some(high) = high {
            if let Some(point) = escape::combine_surrogates(high.unit, unit) {
                return emit_code_point(point, high.from, to, emit);
            }
            high.emit_alone(emit);
        }
        if escape::is_high_surrogate(unit) {
            *self = Self::High(HighSurrogate { from, to, unit });
        } else {
            emit_code_point(unit, from, to, emit);
        }
    }
}

fn emit_code_point(point: u32, from: u64, to: u64, emit: &mut impl FnMut(u8, u64, u64)) {
    let mut bytes = Vec::with_capacity(4);
    escape::push_code_point(point, &mut bytes);
    for byte in bytes {
        emit(byte, from, to);
    }
}
