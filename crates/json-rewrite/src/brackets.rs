//! The open brackets of a container that is skipped: checks their types and depth.

use super::batch::{BLOCK_BYTES, BlockBrackets};
use super::memory::shrink_if_empty;

/// Why a container cannot be skipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BracketError {
    /// A closing bracket does not match the opening one.
    Mismatch,
    TooDeep,
}

/// The types of the open brackets, one bit per level: 1 for curly, 0 for square.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    /// The innermost levels, the deepest in the lowest bit. The highest set bit marks their end.
    levels: u64,
    /// The levels around them, [`WORD_LEVELS`] in each word.
    outer: Vec<u64>,
    depth_max: usize,
    /// While `levels - 2` is below this, neither the end of a word nor the depth limit is reached.
    common_below: u64,
    /// The depth limit cannot be reached within this word and one block, so empty containers need not be checked.
    is_far_from_limit: bool,
}

/// Levels per word. One bit is for the mark, and one more detects a level too many.
const WORD_LEVELS: usize = 62;

/// A word without levels.
const MARK: u64 = 1;

impl Brackets {
    /// Starts with an opening bracket.
    pub(super) fn begin(&mut self, bracket: u8, depth_max: usize) -> Result<(), BracketError> {
        self.levels = MARK;
        if self.depth_max != depth_max || !self.outer.is_empty() {
            self.outer.clear();
            self.depth_max = depth_max;
            self.word_changed();
        }
        self.open(u64::from(bracket & 0x20 != 0))
    }

    /// Frees memory that is not needed between chunks.
    pub(super) fn shrink(&mut self) {
        shrink_if_empty(&mut self.outer);
    }

    /// Processes the brackets of a block. Returns the bit of the bracket that closes the container, if the block has
    /// it. Errors have the bit of their bracket.
    #[inline]
    pub(super) fn block(
        &mut self,
        mut found: BlockBrackets,
    ) -> Result<Option<usize>, (usize, BracketError)> {
        if found.open | found.close == 0 {
            return Ok(None);
        }
        if self.is_far_from_limit {
            found = found.without_empty_pairs();
        }
        let BlockBrackets {
            open: opening,
            close: closing,
            curly,
        } = found;
        let mut rest = opening | closing;
        let mut open = self.levels;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest &= rest - 1;
            let (opens, is_curly) = (opening & bit != 0, u64::from(curly & bit != 0));
            // A mismatched closing bracket sets the highest bit, so it becomes a uncommon_bracket case too.
            let next = if opens {
                open << 1 | is_curly
            } else {
                (open ^ is_curly).rotate_right(1)
            };
            if next.wrapping_sub(MARK + 1) >= self.common_below {
                self.levels = open;
                let at = bit.trailing_zeros() as usize;
                if self
                    .uncommon_bracket(opens, is_curly)
                    .map_err(|error| (at, error))?
                {
                    return Ok(Some(at));
                }
                open = self.levels;
            } else {
                open = next;
            }
        }
        self.levels = open;
        Ok(None)
    }

    /// Processes a bracket that may end a word or the container, or be an error. Returns whether it closes the
    /// container.
    fn uncommon_bracket(&mut self, opens: bool, is_curly: u64) -> Result<bool, BracketError> {
        if opens {
            self.open(is_curly).map(|()| false)
        } else {
            self.close(is_curly)
        }
    }

    fn open(&mut self, is_curly: u64) -> Result<(), BracketError> {
        let levels = self.levels.ilog2() as usize;
        if self.outer.len() * WORD_LEVELS + levels >= self.depth_max {
            return Err(BracketError::TooDeep);
        }
        if levels == WORD_LEVELS {
            self.outer.push(self.levels);
            self.levels = MARK;
            self.word_changed();
        }
        self.levels = self.levels << 1 | is_curly;
        Ok(())
    }

    fn close(&mut self, is_curly: u64) -> Result<bool, BracketError> {
        if self.levels & 1 != is_curly {
            return Err(BracketError::Mismatch);
        }
        self.levels >>= 1;
        if self.levels > MARK {
            return Ok(false);
        }
        let Some(around) = self.outer.pop() else {
            return Ok(true);
        };
        self.levels = around;
        self.word_changed();
        Ok(false)
    }

    fn word_changed(&mut self) {
        let left = self
            .depth_max
            .saturating_sub(self.outer.len() * WORD_LEVELS);
        // A word with n levels is below 2^(n + 1).
        self.common_below = (2 << left.min(WORD_LEVELS)) - 2;
        self.is_far_from_limit = left >= WORD_LEVELS + BLOCK_BYTES;
    }
}
