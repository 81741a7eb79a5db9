//! Objects that a message quotes, as the app cluster sees them.
//!
//! kube-apiserver quotes a body that it can't decode as it came (`Object 'Kind' is missing in '…'`), and
//! an object that a patch made of, as Go quotes a string (`patch: Invalid value: "…"`;
//! `apiserver/pkg/endpoints/handlers/patch.go`). What begins like one and can't be read may still name
//! a namespace where one that is read would; then the text is told in no part.

use std::collections::HashMap;

use bytes::{Buf, Bytes};

use super::NamesForeign;
use crate::rewrite::{
    Addition, Error, Fate, Framing, Handler, Limits, Output, Rewriter, RuleError, Rules, Tag,
    Verdict,
};
use crate::translate::hidden::{Hidden, Place};
use crate::translate::{ObjectTags, Scope, applied_rules, object_rules};

/// Bytes of an object that are read at once; the piece in which it ends is read again, byte by
/// byte.
pub(super) const PIECE_BYTES: usize = 4096;

/// Where an object, or a string that holds one, may begin.
pub(super) fn start(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let starts = [rest.find("{\""), rest.find("\"{\\\"")];
    starts.into_iter().flatten().min().map(|start| from + start)
}

/// The object that a text begins with in local terms, and the bytes that it took; `None` if it is none.
///
/// # Errors
/// It names a foreign namespace.
pub(super) fn to_local(text: &str, scope: &Scope) -> Result<Option<(String, usize)>, NamesForeign> {
    let Ok(rules) = rules() else {
        return Err(NamesForeign);
    };
    // What is changed counts as held too.
    let max = Limits::default().held_bytes_max.max(2 * text.len());
    let rewriter = |framing| {
        Rewriter::new(
            rules.clone(),
            framing,
            Limits::whole(max),
            Quoted::new(scope),
        )
    };
    if !text.starts_with('"') {
        return bare(text, || rewriter(Framing::Many));
    }
    let Some(mut quoted) = Unquoted::read(text) else {
        return Ok(None);
    };
    let content = std::mem::take(&mut quoted.content);
    match rewriter(Framing::One).whole(content.into()) {
        Ok(mapped) => {
            let mapped = String::from_utf8(mapped.into()).ok();
            Ok(mapped.map(|mapped| (quoted.quote(&mapped), quoted.taken)))
        }
        Err(Error::Refused(_)) => Err(NamesForeign),
        Err(_) => Ok(None),
    }
}

/// Whether what could not be read as an object has, as the value of a member, a name that would have been
/// mapped there.
pub(super) fn may_name(text: &str, scope: &Scope) -> bool {
    let mut close = text.to_owned();
    close.retain(|c| c != '\\' && !c.is_ascii_whitespace());
    match scope {
        Scope::One { remote, .. } | Scope::Only { remote, .. } => {
            close.contains(&format!(":\"{remote}\""))
        }
        Scope::Mapped(_) => close.contains("\"namespace\":\""),
    }
}

/// An object that stands in the text as it is, whose end only reading it tells.
fn bare<'a>(
    text: &str,
    rewriter: impl Fn() -> Rewriter<Quoted<'a>>,
) -> Result<Option<(String, usize)>, NamesForeign> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let mut first = rewriter();
    let pieces = (0..text.len()).step_by(PIECE_BYTES);
    let inside = pieces.take_while(|at| {
        let piece = text.slice(*at..text.len().min(at + PIECE_BYTES));
        first.feed(piece, &mut Output::default()).is_ok() && first.documents() == 0
    });
    let inside = (inside.count() * PIECE_BYTES).min(text.len());
    let (mut second, mut out) = (rewriter(), Output::default());
    // What follows the object is none.
    let pieces = std::iter::once(0..inside).chain((inside..text.len()).map(|at| at..at + 1));
    for piece in pieces {
        let end = piece.end;
        match second.feed(text.slice(piece), &mut out) {
            Ok(()) if second.documents() == 0 => {}
            Ok(()) => {
                let object = out.copy_to_bytes(out.remaining());
                let object = String::from_utf8(object.into()).ok();
                return Ok(object.map(|object| (object, end)));
            }
            Err(Error::Refused(_)) => return Err(NamesForeign),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// A string that Go quoted (`strconv`, `Quote`).
struct Unquoted<'a> {
    content: String,
    /// How each character that was escaped is spelled, which depends on nothing else.
    escapes: HashMap<char, &'a str>,
    /// Bytes of the string as it was quoted.
    taken: usize,
}

impl<'a> Unquoted<'a> {
    /// The string that a text begins with; `None` if it does not end, or is not quoted so.
    fn read(text: &'a str) -> Option<Self> {
        let (mut content, mut escapes) = (String::new(), HashMap::new());
        let mut rest = text.strip_prefix('"')?;
        loop {
            let plain = rest.find(['"', '\\'])?;
            content.push_str(rest.get(..plain)?);
            rest = rest.get(plain..)?;
            if let Some(after) = rest.strip_prefix('"') {
                let taken = text.len() - after.len();
                return Some(Self {
                    content,
                    escapes,
                    taken,
                });
            }
            let (character, length) = unescaped(rest)?;
            content.push(character);
            escapes.insert(character, rest.get(..length)?);
            rest = rest.get(length..)?;
        }
    }

    fn quote(&self, content: &str) -> String {
        let mut quoted = String::with_capacity(self.taken);
        quoted.push('"');
        for character in content.chars() {
            match self.escapes.get(&character) {
                Some(escape) => quoted.push_str(escape),
                None => quoted.push(character),
            }
        }
        quoted.push('"');
        quoted
    }
}

/// The character that an escape stands for, and the bytes of the escape. A byte of no character has none.
fn unescaped(escape: &str) -> Option<(char, usize)> {
    let digits = |from: usize, count: usize| {
        let digits = escape.get(from..from + count)?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        Some((char::from_u32(code)?, from + count))
    };
    let short = |character: char| Some((character, 2));
    match escape.as_bytes().get(1)? {
        b'a' => short('\u{7}'),
        b'b' => short('\u{8}'),
        b'f' => short('\u{c}'),
        b'n' => short('\n'),
        b'r' => short('\r'),
        b't' => short('\t'),
        b'v' => short('\u{b}'),
        b'\\' => short('\\'),
        b'"' => short('"'),
        b'x' => digits(2, 2).filter(|(character, _)| character.is_ascii()),
        b'u' => digits(2, 4),
        b'U' => digits(2, 8),
        _ => None,
    }
}

const NAMESPACE: Tag = 0;
/// What was applied last names whatever its writer did.
const APPLIED_NAMESPACE: Tag = 1;
/// The first of the tags for what is hidden.
const HIDDEN: Tag = 10;

/// Metadata is held for what stands in it.
const METADATA: Tag = 0;

const TAGS: ObjectTags = ObjectTags {
    namespace: NAMESPACE,
    hidden: HIDDEN,
};

fn rules() -> Result<Rules, RuleError> {
    let held = Rules::builder().item("$.metadata", "$.metadata", METADATA);
    let applied = applied_rules(APPLIED_NAMESPACE)?;
    object_rules(held, "$", TAGS, &applied).build()
}

/// Maps the namespaces of a quoted object.
struct Quoted<'a> {
    scope: &'a Scope,
    hidden: Hidden,
}

impl<'a> Quoted<'a> {
    fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            hidden: Hidden::default(),
        }
    }
}

impl Handler for Quoted<'_> {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        let remote = std::str::from_utf8(value).ok();
        match remote.and_then(|remote| self.scope.to_local(remote)) {
            Some(local) => Verdict::Replace(local.into()),
            None if tag == NAMESPACE && self.scope.may_see_foreign() => {
                Verdict::Fail("it is not mapped")
            }
            None => Verdict::Keep,
        }
    }

    fn value(&mut self, tag: Tag, raw: &[u8]) -> Verdict<'_> {
        let place = Place::of(tag, HIDDEN);
        place.map_or(Verdict::Keep, |place| self.hidden.value(place, raw))
    }

    fn end(&mut self, tag: Tag) -> Addition<'_> {
        let place = Place::of(tag, HIDDEN);
        place.map_or(Addition::Nothing, |place| self.hidden.end(place))
    }

    fn open(&mut self, _item: Tag) {
        self.hidden = Hidden::default();
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        self.hidden.is_judged = true;
        Fate::Keep
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    #[test]
    fn what_go_quoted_is_quoted_so_again() {
        let quoted = r#""{\"a\":\"\a\b\f\n\r\t\v\\ é ☺ \x7f \u200b \ufeff \U000e0001 \u2028\"}""#;
        let unquoted = Unquoted::read(&format!("{quoted} and more\"")).map(|read| {
            assert_eq!(read.quote(&read.content), quoted);
            (read.content, read.taken)
        });
        let content = "{\"a\":\"\u{7}\u{8}\u{c}\n\r\t\u{b}\\ é ☺ \u{7f} \u{200b} \u{feff} \u{e0001} \u{2028}\"}";
        assert_eq!(unquoted, Some((content.to_owned(), quoted.len())));
    }

    /// As Go quotes it, with any characters for those that it takes for printable.
    fn quoted(text: &str, is_printable: impl Fn(char) -> bool) -> String {
        let quote = |c: char| match c {
            '"' | '\\' => format!("\\{c}"),
            '\n' => "\\n".to_owned(),
            c if c.is_ascii_control() => format!("\\x{:02x}", c as u32),
            c if is_printable(c) => c.to_string(),
            c if u32::from(c) > 0xffff => format!("\\U{:08x}", c as u32),
            c if c.is_ascii() => c.to_string(),
            c => format!("\\u{:04x}", c as u32),
        };
        format!("\"{}\"", text.chars().map(quote).collect::<String>())
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn a_quoted_object_is_mapped_as_the_object_is(
            notes in proptest::collection::vec(proptest::char::any(), 0..40),
            is_printable in proptest::num::u32::ANY,
        ) {
            let notes = serde_json::to_string(&String::from_iter(notes)).unwrap();
            let object = |namespace: &str| {
                let object = format!(
                    r#"{{"a":{notes},"metadata":{{"annotations":{{"n":{notes}}},"namespace":"{namespace}"}},"namespace":"app-ns-1"}}"#
                );
                quoted(&object, |c| is_printable >> (c as u32 % 32) & 1 == 1)
            };
            let scope = Scope::One { local: "default".into(), remote: "app-ns-1".into() };
            let text = format!("{}: no", object("app-ns-1"));
            let mapped = to_local(&text, &scope).ok().flatten();
            proptest::prop_assert_eq!(mapped, Some((object("default"), text.len() - ": no".len())));
        }
    }

    #[test]
    fn what_go_would_not_quote_so_is_not_read() {
        for quoted in [
            r#"""#,
            r#""\"#,
            r#""\x"#,
            r#""\x4"#,
            r#""\xff""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\U00110000""#,
            r#""\q""#,
            r#""a\""#,
        ] {
            assert!(Unquoted::read(quoted).is_none(), "{quoted}");
        }
    }
}
