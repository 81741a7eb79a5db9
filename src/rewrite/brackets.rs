//! The brackets that are open in what is skipped: their kinds, and how deep they are.

use super::batch::{BLOCK_BYTES, Found};
use super::memory::give_back;

/// Why a container can't be skipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bad {
    Bracket,
    Depth,
}

/// Kinds of the open brackets, a bit a level, curly ones are 1.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    /// The innermost levels, the last lowest, below a bit that marks their end.
    kinds: u64,
    /// Those around them, [`WORD_LEVELS`] in each.
    outer: Vec<u64>,
    depth_max: usize,
    /// While `kinds`, less two, stays below this, no end of a word and no bound is met.
    common: u64,
    /// The bound is further away than one word and one block can bring, so that what is empty can't
    /// be too deep and need not be looked at.
    roomy: bool,
}

/// Levels in a word. A bit is left for the mark, and one more for a level too many to be seen.
const WORD_LEVELS: usize = 62;

/// No level in a word.
const MARK: u64 = 1;

impl Brackets {
    /// Starts behind an opening bracket.
    pub(super) fn begin(&mut self, bracket: u8, depth_max: usize) -> Result<(), Bad> {
        self.kinds = MARK;
        if self.depth_max != depth_max || !self.outer.is_empty() {
            self.outer.clear();
            self.depth_max = depth_max;
            self.word_changed();
        }
        self.open(u64::from(bracket & 0x20 != 0))
    }

    /// Frees what a deep container made large.
    pub(super) fn give_back(&mut self) {
        give_back(&mut self.outer);
    }

    /// Goes through brackets of a block; the place of the one that closes the first, if it is there.
    #[inline]
    pub(super) fn block(&mut self, mut found: Found) -> Result<Option<usize>, (usize, Bad)> {
        if found.open | found.close == 0 {
            return Ok(None);
        }
        if self.roomy {
            found = found.filled();
        }
        let Found {
            open: opening,
            close: closing,
            curly,
        } = found;
        let mut rest = opening | closing;
        let mut open = self.kinds;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest &= rest - 1;
            let (opens, kind) = (opening & bit != 0, u64::from(curly & bit != 0));
            // A closing bracket of the wrong kind becomes the highest bit, and so a rare case.
            let kinds = if opens {
                open << 1 | kind
            } else {
                (open ^ kind).rotate_right(1)
            };
            if kinds.wrapping_sub(MARK + 1) >= self.common {
                self.kinds = open;
                let at = bit.trailing_zeros() as usize;
                if self.rare(opens, kind).map_err(|bad| (at, bad))? {
                    return Ok(Some(at));
                }
                open = self.kinds;
            } else {
                open = kinds;
            }
        }
        self.kinds = open;
        Ok(None)
    }

    /// Whether that was the last one.
    fn rare(&mut self, opens: bool, kind: u64) -> Result<bool, Bad> {
        if opens {
            self.open(kind).map(|()| false)
        } else {
            self.close(kind)
        }
    }

    fn open(&mut self, kind: u64) -> Result<(), Bad> {
        let levels = self.kinds.ilog2() as usize;
        if self.outer.len() * WORD_LEVELS + levels >= self.depth_max {
            return Err(Bad::Depth);
        }
        if levels == WORD_LEVELS {
            self.outer.push(self.kinds);
            self.kinds = MARK;
            self.word_changed();
        }
        self.kinds = self.kinds << 1 | kind;
        Ok(())
    }

    fn close(&mut self, kind: u64) -> Result<bool, Bad> {
        if self.kinds & 1 != kind {
            return Err(Bad::Bracket);
        }
        self.kinds >>= 1;
        if self.kinds > MARK {
            return Ok(false);
        }
        let Some(around) = self.outer.pop() else {
            return Ok(true);
        };
        self.kinds = around;
        self.word_changed();
        Ok(false)
    }

    fn word_changed(&mut self) {
        let left = self
            .depth_max
            .saturating_sub(self.outer.len() * WORD_LEVELS);
        // A word of n levels is less than two to the power of n + 1.
        self.common = (2 << left.min(WORD_LEVELS)) - 2;
        self.roomy = left >= WORD_LEVELS + BLOCK_BYTES;
    }
}
