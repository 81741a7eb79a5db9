//! The public interface of a stream: feed chunks, finish, and poisoning after errors.

use bytes::{Buf, Bytes};

use super::error::RewriteError;
use super::handler::Handler;
use super::masks::{Backend, InstructionSet};
use super::output::Output;
use super::rules::Rules;
use super::walker::Walker;
use super::{Framing, Limits};

/// Rewrites one stream.
#[derive(Debug)]
pub struct Rewriter<H> {
    walker: Walker<H>,
    /// The stream has failed or is finished. Also set during each call, so that it stays set if the handler
    /// panics.
    is_poisoned: bool,
}

impl<H: Handler> Rewriter<H> {
    /// Returns a rewriter at the start of a stream.
    pub fn new(rules: Rules, framing: Framing, limits: Limits, handler: H) -> Self {
        Self {
            walker: Walker::new(rules, framing, limits, handler),
            is_poisoned: false,
        }
    }

    /// Uses only instructions that every machine of this architecture has. The output is the same.
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.walker.backend = Backend::portable();
        self
    }

    /// Uses this instruction set. Returns `None` if the machine does not have it. The output is the same.
    #[must_use]
    pub fn with_instruction_set(mut self, set: InstructionSet) -> Option<Self> {
        self.walker.backend = Backend::detect(set)?;
        Some(self)
    }

    /// Reads the next bytes of the stream, and appends all decided output to `out`.
    ///
    /// # Errors
    /// The stream cannot be rewritten any further. All output so far is a prefix of the output for a correct
    /// stream that starts like this one. The same applies if the handler panics and the panic is caught.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Output) -> Result<(), RewriteError> {
        if std::mem::replace(&mut self.is_poisoned, true) {
            return Err(RewriteError::Poisoned);
        }
        let result = self.walker.feed(chunk, out);
        self.is_poisoned = result.is_err();
        result
    }

    /// Ends the stream and appends the rest of the output to `out`.
    ///
    /// # Errors
    /// The stream ended inside a document, or it is empty but [`Framing::SingleValue`] requires a document.
    pub fn finish(&mut self, out: &mut Output) -> Result<(), RewriteError> {
        if std::mem::replace(&mut self.is_poisoned, true) {
            return Err(RewriteError::Poisoned);
        }
        self.walker.finish(out)
    }

    /// Rewrites a complete stream at once.
    ///
    /// # Errors
    /// Same as [`feed`](Self::feed) and [`finish`](Self::finish).
    pub fn rewrite_all(&mut self, stream: Bytes) -> Result<Bytes, RewriteError> {
        let mut out = Output::default();
        self.feed(stream, &mut out)?;
        self.finish(&mut out)?;
        Ok(out.copy_to_bytes(out.remaining()))
    }

    /// Returns whether the stream is between two documents, and all output of the last one has been returned.
    pub fn at_boundary(&self) -> bool {
        self.walker.at_boundary()
    }

    /// Returns the handler.
    pub fn handler(&self) -> &H {
        &self.walker.editor.handler
    }

    /// Returns the handler for mutation.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.walker.editor.handler
    }

    /// Returns the number of replacements and additions so far, including those in dropped items.
    pub fn replacements(&self) -> u64 {
        self.walker.editor.window.replacements()
    }

    /// Returns the number of documents that have ended so far.
    pub fn documents(&self) -> u64 {
        self.walker.documents
    }
}
