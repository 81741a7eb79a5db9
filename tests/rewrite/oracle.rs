//! What a rewrite has to come to, done the simple way: on a tree in memory, a value at a time.

use bytes::{Buf, Bytes};
use claimgate::rewrite::{
    Addition, Error, Fate, Framing, Handler, Limits, Output, Rewriter, Rules, RulesBuilder, Tag,
    Verdict,
};

/// A JSON text, with all that a parser would forget: how strings are escaped, keys that stand twice.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// A number or a literal.
    Scalar(String),
    Text(Text),
    /// A string that holds this.
    Json(Box<Self>),
    Array(Vec<Self>),
    Object(Vec<(Text, Self)>),
}

/// A string as it is written, and what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) raw: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Key(&'static str),
    Each,
}

pub(crate) type Path = Vec<Step>;

/// Keys that plans may name.
pub(crate) const KEYS: [&str; 4] = ["a", "b", "ns", "k\"]\\é"];

/// Rules, before they are compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) strings: Vec<(Path, Tag)>,
    pub(crate) removed: Vec<Path>,
    pub(crate) values: Vec<(Path, Tag)>,
    /// Objects that get another member.
    pub(crate) ends: Vec<(Path, Tag)>,
    pub(crate) inside: Vec<(Path, Vec<(Path, Tag)>)>,
    /// What an item is, and after what in it it is judged.
    pub(crate) item: Option<(Path, Path)>,
}

/// Tags of [`Renamer`].
pub(crate) const AT_ONCE: Tag = 0;
pub(crate) const LATER: Tag = 1;
/// It is a member or an element, so that it may go.
pub(crate) const MEMBER: Tag = 2;

/// What `remote` becomes; it has to be escaped.
pub(crate) const LOCAL: &str = "lo\"cal\\\né<\u{2028}\u{2030}\u{8}";

/// What arrays become that are looked at as a whole.
const WAS_ARRAY: &str = r#"{"was":"an array"}"#;

/// What objects get, at once and after the judgement.
const ADDED: (&str, &str) = ("added", "1");
const ADDED_LATE: (&str, &str) = ("late", "[{}]");

/// Replaces `remote`, removes what is `gone`, refuses `bad`, drops items that hold `foreign`. Of
/// values that it sees as a whole it replaces arrays, removes `true` and refuses `false`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renamer {
    foreign: bool,
    /// An item is in hand and not judged yet.
    waits: bool,
}

impl Handler for Renamer {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        match value {
            b"foreign" => self.foreign = true,
            b"bad" => return Verdict::Fail("bad"),
            b"gone" if tag == MEMBER => return Verdict::Remove,
            _ if tag == LATER => return Verdict::Later,
            _ => {}
        }
        self.resolve(tag, value)
    }

    fn value(&mut self, tag: Tag, raw: &[u8]) -> Verdict<'_> {
        match raw {
            [b'[', ..] => Verdict::Replace(WAS_ARRAY.into()),
            b"true" if tag == MEMBER => Verdict::Remove,
            b"false" => Verdict::Fail("bad"),
            raw => {
                self.foreign |= raw == b"\"foreign\"";
                Verdict::Keep
            }
        }
    }

    fn end(&mut self, tag: Tag) -> Addition<'_> {
        let member = |(key, value)| Addition::Members(format!("\"{key}\":{value}").into());
        match tag {
            LATER if self.waits => Addition::Later,
            LATER => member(ADDED_LATE),
            _ => member(ADDED),
        }
    }

    fn open(&mut self, _item: Tag) {
        self.foreign = false;
        self.waits = true;
    }

    fn judge(&mut self, _item: Tag) -> Fate {
        self.waits = false;
        if self.foreign { Fate::Drop } else { Fate::Keep }
    }

    fn resolve(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        if value == b"remote" {
            Verdict::Replace(LOCAL.into())
        } else {
            Verdict::Keep
        }
    }
}

impl Text {
    /// Escaped as serde_json does.
    pub(crate) fn plain(value: &str) -> Self {
        let quoted = serde_json::to_string(value).unwrap();
        Self {
            raw: quoted.as_bytes()[1..quoted.len() - 1].to_vec(),
            value: value.as_bytes().to_vec(),
        }
    }

    /// Escaped as Go does.
    fn of_go(value: &str) -> Self {
        let Self { raw, value } = Self::plain(value);
        let raw = String::from_utf8(raw).unwrap();
        let raw = raw.chars().map(|c| match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        });
        let raw = raw.collect::<String>().into_bytes();
        Self { raw, value }
    }
}

impl Tree {
    /// Appends the text, with `space` between all tokens.
    pub(crate) fn write(&self, space: &str, to: &mut Vec<u8>) {
        let put = |text: &[u8], to: &mut Vec<u8>| {
            to.extend_from_slice(text);
            to.extend_from_slice(space.as_bytes());
        };
        let quoted = |raw: &[u8], to: &mut Vec<u8>| put(&[b"\"", raw, b"\""].concat(), to);
        match self {
            Self::Scalar(text) => put(text.as_bytes(), to),
            Self::Text(text) => quoted(&text.raw, to),
            Self::Json(inner) => quoted(&inner.held().raw, to),
            Self::Array(items) => {
                put(b"[", to);
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        put(b",", to);
                    }
                    item.write(space, to);
                }
                put(b"]", to);
            }
            Self::Object(members) => {
                put(b"{", to);
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        put(b",", to);
                    }
                    quoted(&key.raw, to);
                    put(b":", to);
                    value.write(space, to);
                }
                put(b"}", to);
            }
        }
    }

    /// Containers that are open at once.
    fn depth(&self) -> usize {
        let deepest = match self {
            Self::Scalar(_) | Self::Text(_) | Self::Json(_) => return 0,
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
        };
        1 + deepest.unwrap_or_default()
    }

    /// A string that holds it.
    fn held(&self) -> Text {
        let mut text = Vec::new();
        self.write("", &mut text);
        // Lone surrogates and broken UTF-8 are not put into strings that hold JSON.
        Text::plain(std::str::from_utf8(&text).unwrap())
    }
}

impl Plan {
    /// All that rules lie at.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let tagged = self.strings.iter().chain(&self.values).chain(&self.ends);
        let inside = self.inside.iter().map(|(path, _)| path);
        let items = self.item.iter().flat_map(|(item, after)| [item, after]);
        let tagged = tagged.map(|(path, _)| path);
        tagged.chain(&self.removed).chain(inside).chain(items)
    }

    /// `None` if the rules contradict each other.
    pub(crate) fn compile(&self) -> Option<Rules> {
        let strings = |rules: RulesBuilder, strings: &[(Path, Tag)]| {
            let add =
                |rules: RulesBuilder, (path, tag): &(Path, Tag)| rules.string(&text(path), *tag);
            strings.iter().fold(rules, add)
        };
        let mut rules = strings(Rules::builder(), &self.strings);
        for path in &self.removed {
            rules = rules.remove(&text(path));
        }
        for (path, tag) in &self.values {
            rules = rules.value(&text(path), *tag);
        }
        for (path, tag) in &self.ends {
            rules = rules.end(&text(path), *tag);
        }
        for (path, inner) in &self.inside {
            rules = rules.inside(&text(path), strings(Rules::builder(), inner).build().ok()?);
        }
        if let Some((item, judged_after)) = &self.item {
            rules = rules.item(&text(item), &text(judged_after), 0);
        }
        rules.build().ok()
    }
}

fn text(path: &[Step]) -> String {
    path.iter().fold("$".to_owned(), |text, step| match step {
        Step::Key(key) => format!("{text}[{}]", serde_json::to_string(key).unwrap()),
        Step::Each => format!("{text}[*]"),
    })
}

/// The stream must end with an error.
#[derive(Debug)]
pub(crate) struct Refused;

/// The documents as they are to come out.
pub(crate) fn expected(
    plan: &Plan,
    limits: Limits,
    documents: &[Tree],
) -> Result<Vec<Tree>, Refused> {
    if documents.iter().any(|tree| tree.depth() > limits.depth_max) {
        return Err(Refused);
    }
    let mut naive = Naive {
        plan,
        limits,
        handler: Renamer::default(),
        item: None,
        inside: None,
    };
    let mut left = Vec::new();
    for document in documents {
        left.extend(naive.visit(document, &mut Vec::new())?);
    }
    Ok(left)
}

struct Naive<'a> {
    plan: &'a Plan,
    limits: Limits,
    handler: Renamer,
    /// Within an item; what it was judged to, if it has been.
    item: Option<Option<Fate>>,
    /// Within a string that holds JSON; whether the walk through it goes on.
    inside: Option<Walk>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Walk {
    GoesOn,
    Ended,
}

impl Naive<'_> {
    /// What becomes of a value; `None` if it goes.
    fn visit(&mut self, tree: &Tree, path: &mut Path) -> Result<Option<Tree>, Refused> {
        let plan = self.plan;
        let is_item = plan.item.as_ref().is_some_and(|(item, _)| item == path);
        if is_item {
            self.item = Some(None);
            self.handler.open(0);
        }
        let value = plan.values.iter().find(|(value, _)| value == path);
        if self.inside.is_some() && tree.depth() > 0 && path.len() >= self.limits.inner_depth_max {
            self.inside = Some(Walk::Ended);
        }
        let mut left = match tree {
            _ if self.item == Some(Some(Fate::Drop)) => None,
            _ if self.inside == Some(Walk::Ended) => Some(tree.clone()),
            tree if let Some((_, tag)) = value => self.value(*tag, tree, is_item)?,
            Tree::Text(text) => self.string(text, tree, path, is_item)?,
            Tree::Json(inner) => match plan.inside.iter().find(|(inside, _)| inside == path) {
                Some((_, strings)) => Some(Tree::Json(Box::new(self.inner(inner, strings)?))),
                None => self.string(&inner.held(), tree, path, is_item)?,
            },
            Tree::Scalar(_) => Some(tree.clone()),
            Tree::Array(items) => {
                path.push(Step::Each);
                let mut left = Vec::new();
                for item in items {
                    left.extend(self.visit(item, path)?);
                }
                path.pop();
                Some(Tree::Array(left))
            }
            Tree::Object(members) => {
                let mut left = Vec::new();
                for (key, value) in members {
                    self.key(key, path)?;
                    path.push(known(&key.value));
                    left.extend(self.visit(value, path)?.map(|value| (key.clone(), value)));
                    path.pop();
                }
                left.extend(self.added(path));
                Some(Tree::Object(left))
            }
        };
        if plan.removed.contains(path) {
            left = None;
        }
        if plan.item.as_ref().is_some_and(|(_, after)| after == path) || is_item {
            self.judge(is_item)?;
        }
        if is_item && self.item.take() == Some(Some(Fate::Drop)) {
            left = None;
        }
        Ok(left)
    }

    /// An item itself can't be removed but by its judgement.
    fn string(
        &mut self,
        text: &Text,
        tree: &Tree,
        path: &Path,
        is_item: bool,
    ) -> Result<Option<Tree>, Refused> {
        let rule = self.plan.strings.iter().find(|(rule, _)| rule == path);
        let Some((_, tag)) = rule else {
            return Ok(Some(tree.clone()));
        };
        if self.ends_at(text, self.limits.string_bytes_max)? {
            return Ok(Some(tree.clone()));
        }
        let value = &text.value;
        let mut verdict = self.handler.string(*tag, value);
        // Nobody sees the difference: what is put off is decided by the value alone.
        if matches!(verdict, Verdict::Later) {
            verdict = self.handler.resolve(*tag, value);
        }
        match verdict {
            Verdict::Keep => Ok(Some(tree.clone())),
            Verdict::Replace(with) => Ok(Some(Tree::Text(Text::of_go(&with)))),
            Verdict::Remove if !is_item => Ok(None),
            _ => Err(Refused),
        }
    }

    /// A key is bounded in objects in which keys are compared.
    fn key(&mut self, key: &Text, path: &Path) -> Result<(), Refused> {
        let mut below = self
            .plan
            .paths()
            .filter_map(|rule| rule.strip_prefix(&**path));
        let is_compared = if self.inside.is_some() {
            path.is_empty() || below.next().is_some()
        } else {
            let gets_members = self.plan.ends.iter().any(|(end, _)| end == path);
            gets_members || below.any(|rest| matches!(rest, [Step::Key(_), ..]))
        };
        if is_compared {
            self.ends_at(key, self.limits.key_bytes_max)?;
        }
        Ok(())
    }

    /// Whether a text is too long to be walked past; too long for a bound of the stream it is refused.
    fn ends_at(&mut self, text: &Text, bytes_max: usize) -> Result<bool, Refused> {
        let Some(walk) = &mut self.inside else {
            let is_within = text.raw.len() <= bytes_max;
            return is_within.then_some(false).ok_or(Refused);
        };
        let written = Text::plain(std::str::from_utf8(&text.raw).unwrap());
        if written.raw.len() > self.limits.inner_string_bytes_max {
            *walk = Walk::Ended;
        }
        Ok(*walk == Walk::Ended)
    }

    fn value(&mut self, tag: Tag, tree: &Tree, is_item: bool) -> Result<Option<Tree>, Refused> {
        let mut written = Vec::new();
        tree.write("", &mut written);
        match self.handler.value(tag, &written) {
            Verdict::Keep => Ok(Some(tree.clone())),
            Verdict::Replace(with) => Ok(Some(Tree::Scalar(with.into_owned()))),
            Verdict::Remove if !is_item => Ok(None),
            _ => Err(Refused),
        }
    }

    /// The member that an object gets; whether at once or late shows in what it is.
    fn added(&self, path: &Path) -> Option<(Text, Tree)> {
        let (_, tag) = self.plan.ends.iter().find(|(end, _)| end == path)?;
        let (key, value) = if *tag == LATER { ADDED_LATE } else { ADDED };
        Some((Text::plain(key), Tree::Scalar(value.to_owned())))
    }

    fn inner(&mut self, tree: &Tree, strings: &[(Path, Tag)]) -> Result<Tree, Refused> {
        let plan = Plan {
            strings: strings.to_vec(),
            ..Plan::default()
        };
        let mut inner = Naive {
            plan: &plan,
            limits: self.limits,
            handler: self.handler.clone(),
            item: None,
            inside: Some(Walk::GoesOn),
        };
        let left = inner.visit(tree, &mut Vec::new())?;
        self.handler = inner.handler;
        left.ok_or(Refused)
    }

    fn judge(&mut self, is_end: bool) -> Result<(), Refused> {
        match self.item {
            Some(None) => self.item = Some(Some(self.handler.judge(0))),
            Some(Some(Fate::Keep)) if !is_end && self.handler.judge(0) == Fate::Drop => {
                return Err(Refused);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The step of a key, if a plan can name it.
fn known(key: &[u8]) -> Step {
    let known = KEYS.iter().find(|known| known.as_bytes() == key);
    Step::Key(known.map_or("unknown", |known| *known))
}

/// What comes out of the rewriter.
pub(crate) fn run<'a>(
    mut rewriter: Rewriter<impl Handler>,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, Error> {
    let mut out = Output::default();
    for chunk in chunks {
        rewriter.feed(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.copy_to_bytes(out.len()).to_vec())
}

pub(crate) fn rewriter(rules: &Rules, framing: Framing, limits: Limits) -> Rewriter<Renamer> {
    Rewriter::new(rules.clone(), framing, limits, Renamer::default())
}

/// Cuts a text at these sizes, again and again.
pub(crate) fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).clamp(1, rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Leaves out the white space between tokens.
pub(crate) fn without_space(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let is_kept = |byte: &&u8| {
        let byte = **byte;
        if escaped {
            escaped = false;
        } else if in_string && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            in_string = !in_string;
        }
        in_string || !byte.is_ascii_whitespace()
    };
    text.iter().filter(is_kept).copied().collect()
}
