//! The parts that all measurements share: the input, the rules, and the measured function.

mod claims;

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use claim_mapping::mapping::{Mapping, NameLimit};
use claim_mapping::response::{ResponseHandler, ResponseRules, Shape};
use claim_mapping::{ReferencePaths, RequestScope, Selectors};
use json_rewrite::{Edit, Framing, Handler, ItemDecision, Limits, Output, Rewriter, Rules, Tag};

pub use self::claims::Claims;

/// The largest DATA frame of HTTP/2 by default (RFC 9113 §4.2).
pub const CHUNK_BYTES: usize = 16 << 10;

const NAMESPACE: Tag = 1;

/// Replaces the remote namespace by the local one.
pub struct NamespaceMapper {
    remote: Arc<str>,
    local: Arc<str>,
}

impl Default for NamespaceMapper {
    fn default() -> Self {
        Self {
            remote: "app-ns-1".into(),
            local: "default".into(),
        }
    }
}

impl Handler for NamespaceMapper {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        if value == self.remote.as_bytes() {
            Edit::Replace((&*self.local).into())
        } else {
            Edit::Keep
        }
    }
}

/// Cuts a text into chunks of [`CHUNK_BYTES`], without copying it.
pub fn chunks(text: impl Into<Bytes>) -> Vec<Bytes> {
    let text = text.into();
    let starts = (0..text.len()).step_by(CHUNK_BYTES);
    starts
        .map(|at| text.slice(at..text.len().min(at + CHUNK_BYTES)))
        .collect()
}

pub fn rewriter(rules: &Rules) -> Rewriter<NamespaceMapper> {
    Rewriter::new(
        rules.clone(),
        Framing::SingleValue,
        Limits::default(),
        NamespaceMapper::default(),
    )
}

/// Rewrites the chunks, reads every piece of the output, and returns the number of bytes that came out.
/// `benches/instructions` counts the instructions of this function, by its name.
///
/// # Panics
/// If the chunks are not JSON.
#[inline(never)]
pub fn pass(
    mut rewriter: Rewriter<impl Handler>,
    chunks: impl IntoIterator<Item = Bytes>,
) -> usize {
    let mut out = Output::default();
    let mut bytes = 0;
    for chunk in chunks {
        rewriter.feed(chunk, &mut out).expect("JSON");
        bytes += out.remaining();
        consume(&mut out);
    }
    rewriter.finish(&mut out).expect("a complete document");
    bytes + out.remaining()
}

/// Reads every piece of the output, as a writer does.
pub fn consume(out: &mut Output) {
    while out.has_remaining() {
        let length = black_box(out.chunk()).len();
        out.advance(length);
    }
}

/// The rules that a list is rewritten with, by name:
/// - `plain` maps the namespace of every item;
/// - `items` also buffers each item until its metadata has been read;
/// - `last-applied` also maps the namespace in the last-applied annotation, which is JSON in a string.
///
/// # Panics
/// Never: the paths are valid.
pub fn cases() -> [(&'static str, Rules); 3] {
    let inner = Rules::builder().string("$.metadata.namespace", NAMESPACE);
    let inner = inner.build().expect("rules");
    let last_applied =
        r#"$.items[*].metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]"#;
    let plain = || Rules::builder().string("$.items[*].metadata.namespace", NAMESPACE);
    let items = plain().item("$.items[*]", "$.items[*].metadata", 0);
    let last_applied = plain().embedded_json(last_applied, inner);
    [
        ("plain", plain().build().expect("rules")),
        ("items", items.build().expect("rules")),
        ("last-applied", last_applied.build().expect("rules")),
    ]
}

/// A rewriter with the daemon's own rules, for a list that covers [`one_namespace`] or [`all_namespaces`].
///
/// # Panics
/// Never: the rules are valid.
pub fn daemon_rewriter(scope: RequestScope) -> Rewriter<ResponseHandler> {
    let rules = ResponseRules::compile(&ReferencePaths::default()).expect("rules");
    rules.rewriter(Shape::List, scope, Limits::default())
}

/// A request in one namespace, whose items are all kept.
///
/// # Panics
/// Never: the namespace is mapped.
pub fn one_namespace() -> RequestScope {
    RequestScope::namespace(&mapping(), "default", None, NameLimit::default())
        .expect("a mapped namespace")
}

/// A request across two namespaces, whose items are kept or dropped by their namespaces.
pub fn all_namespaces() -> RequestScope {
    RequestScope::all_namespaces(&mapping(), &Selectors::default(), NameLimit::default())
}

/// A request in one namespace of the shared mapping.
///
/// # Panics
/// Never: the namespace can be mapped.
pub fn shared_namespace() -> RequestScope {
    RequestScope::namespace(&shared_mapping(), "default", None, NameLimit::default())
        .expect("a namespace")
}

/// The shared mapping of the list that [`Claims::shared_list`] returns.
///
/// # Panics
/// Never: the names are valid.
pub fn shared_mapping() -> Mapping {
    Mapping::shared("team-a", "team-a").expect("valid names")
}

fn mapping() -> Mapping {
    let rows = [("default", "app-ns-1"), ("team", "app-ns-2")];
    let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
    Mapping::table(rows.into()).expect("a table")
}

/// Drops items that contain the string `foreign`, and replaces each `remote` once its item has been kept.
#[derive(Default)]
pub struct ItemFilter {
    is_foreign: bool,
}

impl Handler for ItemFilter {
    fn begin_item(&mut self, _item: Tag) {
        self.is_foreign = false;
    }

    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        self.is_foreign |= value == b"foreign";
        Edit::Defer
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        if self.is_foreign {
            ItemDecision::Drop
        } else {
            ItemDecision::Keep
        }
    }

    fn resolve_deferred(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        if value == b"remote" {
            Edit::Replace("local".into())
        } else {
            Edit::Keep
        }
    }
}

/// Creates a rewriter for the inputs of `json_rewrite_testing::worst_case::item_inputs`, with a large buffer.
///
/// # Panics
/// Never: the paths are valid.
pub fn item_filter() -> Rewriter<ItemFilter> {
    let rules = Rules::builder()
        .item("$.items[*]", "$.items[*]", 0)
        .string("$.items[*].k", NAMESPACE)
        .remove("$.items[*].gone")
        .remove_emptied("$.items[*].m")
        .remove("$.items[*].m.gone");
    let limits = Limits {
        buffered_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let rules = rules.build().expect("rules");
    Rewriter::new(rules, Framing::SingleValue, limits, ItemFilter::default())
}

/// The rules for the inputs of `json_rewrite_testing::worst_case::inputs`.
///
/// # Panics
/// Never: the paths are valid.
pub fn worst_case_rules() -> Rules {
    let inner = Rules::builder().string("$.m.ns", NAMESPACE);
    Rules::builder()
        .item("$.items[*]", "$.items[*].m", 0)
        .string("$.items[*].m.ns", NAMESPACE)
        .embedded_json("$.last", inner.build().expect("rules"))
        .build()
        .expect("rules")
}

/// The rules for watch events.
///
/// # Panics
/// Never: the paths are valid.
pub fn watch_rules() -> Rules {
    Rules::builder()
        .item("$", "$", 0)
        .string("$.object.metadata.namespace", NAMESPACE)
        .build()
        .expect("rules")
}
