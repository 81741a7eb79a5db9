//! What becomes of a string: the handler's verdict, at once or once the item has been judged.

use std::ops::Range;

use super::error::Error;
use super::handler::{Handler, Verdict};
use super::inner::{Found, Inner};
use super::item::{Content, Later};
use super::rewriter::Rewriter;
use super::rules::{Node, Rules};
use super::{Tag, text};

impl<H: Handler> Rewriter<H> {
    /// A tagged string has ended; its content stands at `at`, and in `plain` if it is at hand and
    /// stands for itself.
    pub(super) fn tagged(
        &mut self,
        node: Node,
        tag: Tag,
        at: Range<u64>,
        plain: Option<&[u8]>,
    ) -> Result<(), Error> {
        let Range {
            start: from,
            end: to,
        } = at;
        self.check_length(from, to)?;
        self.check_shown(from, to)?;
        if plain.is_none() {
            self.read(from, to)?;
        }
        let one = Content {
            tag,
            from,
            to,
            within: false,
        };
        let verdict = self.handler.string(tag, plain.unwrap_or(&self.value));
        let verdict = one.replaced(verdict, &mut self.window);
        let goes_anyhow = self.rules.node(node).is_some_and(|rules| rules.remove);
        match verdict {
            Verdict::Remove if goes_anyhow => Ok(()),
            // The quote behind the content goes as well.
            Verdict::Remove => self.remove_member(to + 1),
            verdict => self.apply(verdict, one),
        }
    }

    /// Whether what is to be shown to the handler is within its bound.
    #[inline]
    pub(super) fn check_length(&self, from: u64, to: u64) -> Result<(), Error> {
        if to - from <= self.limits.string_bytes_max as u64 {
            return Ok(());
        }
        Err(self.too_long(from))
    }

    /// Whichever bound the string that begins there meets first, as if it came byte by byte.
    #[cold]
    fn too_long(&self, from: u64) -> Error {
        let max = self.limits.string_bytes_max;
        let offset = from + max as u64;
        let held_from = self.held_from().unwrap_or(from).min(from);
        let held = self.check_held(offset - held_from, offset);
        held.err().unwrap_or(Error::ValueTooLong { offset, max })
    }

    /// Reads the content of a string that has not left yet into `value`.
    fn read(&mut self, from: u64, to: u64) -> Result<(), Error> {
        self.raw.clear();
        self.value.clear();
        self.window.gather(from, to, &mut self.raw);
        let what = "a string has a broken escape or a control character";
        text::unescape(&self.raw, &mut self.value).ok_or(Error::Syntax { offset: from, what })
    }

    /// What is left to do after a replacement.
    fn apply(&mut self, verdict: Verdict<'_>, one: Content) -> Result<(), Error> {
        match verdict {
            Verdict::Keep | Verdict::Replace(_) => Ok(()),
            Verdict::Later if self.item.is_held() => {
                self.item.later.push(Later::String(one));
                Ok(())
            }
            Verdict::Later => self.resolve(one),
            Verdict::Fail(why) => Err(Error::Refused(why)),
            Verdict::Remove => Err(Error::Refused("this string's member can't be removed")),
            Verdict::Inside(_) => Err(Error::Refused("this string can't be looked into now")),
        }
    }

    pub(super) fn resolve(&mut self, one: Content) -> Result<(), Error> {
        self.raw.clear();
        self.window.gather(one.from, one.to, &mut self.raw);
        let raw = std::mem::take(&mut self.raw);
        self.value.clear();
        // It was read before, but a string within a string has escapes of both levels.
        text::unescape(&raw, &mut self.value).ok_or(Error::Poisoned)?;
        if one.within {
            let once = std::mem::take(&mut self.value);
            text::unescape(&once, &mut self.value).ok_or(Error::Poisoned)?;
        }
        let verdict = self.handler.resolve(one.tag, &self.value);
        let verdict = one.replaced(verdict, &mut self.window);
        let resolved = match verdict {
            Verdict::Inside(rules) if !one.within => self.look_inside(rules, &raw, one.from),
            Verdict::Later => Err(Error::Refused("a string was put off twice")),
            verdict => self.apply(verdict, one),
        };
        self.raw = raw;
        resolved
    }

    fn look_inside(&mut self, rules: Rules, raw: &[u8], from: u64) -> Result<(), Error> {
        if !rules.are_for_strings() {
            return Err(Error::Refused(
                "within a string only strings can have rules",
            ));
        }
        let mut inner = Inner::begin(&rules, &self.limits, self.inner.take());
        let done = self.inside(&mut inner, raw, from);
        self.inner = Some(inner);
        done
    }

    /// Goes on with the content of a string that holds JSON.
    pub(super) fn inside(&mut self, inner: &mut Inner, raw: &[u8], at: u64) -> Result<(), Error> {
        let mut finds = std::mem::take(&mut self.finds);
        finds.values.clear();
        inner.feed(raw, at, &mut finds);
        for found in finds.all.drain(..) {
            let Found {
                tag,
                from,
                to,
                value,
                ..
            } = found;
            let value = finds.values.get(value).unwrap_or_default();
            let one = Content {
                tag,
                from,
                to,
                within: true,
            };
            let verdict = one.replaced(self.handler.string(tag, value), &mut self.window);
            self.apply(verdict, one)?;
        }
        self.finds = finds;
        Ok(())
    }
}
