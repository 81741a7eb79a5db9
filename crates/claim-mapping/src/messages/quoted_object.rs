//! Maps objects that a message quotes.
//!
//! kube-apiserver quotes a body that it cannot decode verbatim (`Object 'Kind' is missing in '…'`). It quotes
//! the object that a patch resulted in as a Go string (`patch: Invalid value: "…"`;
//! `apiserver/pkg/endpoints/handlers/patch.go`).

mod go_string;

use bytes::{Buf, Bytes};
use json_rewrite::{
    Addition, Edit, Framing, Handler, ItemDecision, Limits, Output, RewriteError, Rewriter,
    RuleError, Rules, Tag,
};

use self::go_string::GoString;
use super::ForeignName;
use crate::hidden_metadata::ResponseMetadata;
use crate::last_applied::{self, LastAppliedRules};
use crate::managed_fields::ManagedFields;
use crate::mapping::ObjectKey;
use crate::object_fields::{Direction, Names, ObjectField, ObjectRules, Role, last_applied_rules};
use crate::object_names::ObjectNames;
use crate::request_scope::{RequestScope, SharedScope};
use crate::tags::Tags;

/// Bytes of an object that are read at once. The piece in which the object ends is read again, byte by byte.
pub(super) const PIECE_BYTES: usize = 4096;

const FOREIGN_NAMESPACE: &str = "a quoted object names a namespace that is not mapped";
const UNREADABLE_METADATA: &str = "a quoted object has owner references that cannot be read";
const UNKNOWN_RULE: &str = "internal error: unknown rewrite rule for quoted objects";

/// A quoted object in local names.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Quotation {
    pub(super) mapped: String,
    /// Bytes that the quotation occupied before it was mapped.
    pub(super) length: usize,
}

/// Returns the first position at which an object, or a string that contains one, may start.
pub(super) fn start(text: &str) -> Option<usize> {
    let starts = [text.find("{\""), text.find("\"{\\\"")];
    starts.into_iter().flatten().min()
}

/// Maps the object at the start of a text. Returns `None` if the text does not start with a readable object.
///
/// # Errors
/// The object names a foreign namespace.
pub(super) fn to_local(
    text: &str,
    scope: &RequestScope,
    rules: &MessageRules,
) -> Result<Option<Quotation>, ForeignName> {
    // Changes count towards the limit too, so it exceeds the text's length.
    let max = Limits::default().buffered_bytes_max.max(2 * text.len());
    let rewriter = |framing| {
        let handler = QuotedObject {
            scope,
            rules,
            metadata: ResponseMetadata::default(),
            managed_fields: ManagedFields::default(),
        };
        Rewriter::new(
            rules.object.clone(),
            framing,
            Limits::for_body(max),
            handler,
        )
    };
    if !text.starts_with('"') {
        return map_verbatim(text, || rewriter(Framing::Sequence));
    }
    let Some(string) = GoString::read(text) else {
        return Ok(None);
    };
    let content = Bytes::copy_from_slice(string.content().as_bytes());
    let mapped = match rewriter(Framing::SingleValue).rewrite_all(content) {
        Ok(mapped) => String::from_utf8(mapped.into()).ok(),
        Err(RewriteError::Rejected(_)) => return Err(ForeignName),
        // Not a readable object. The caller checks whether the text may name a namespace.
        Err(_) => None,
    };
    Ok(mapped.map(|mapped| Quotation {
        mapped: string.quote(&mapped),
        length: string.length(),
    }))
}

/// Maps an object that a text contains verbatim. Only reading the object shows where it ends.
fn map_verbatim<'a>(
    text: &str,
    rewriter: impl Fn() -> Rewriter<QuotedObject<'a>>,
) -> Result<Option<Quotation>, ForeignName> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let mut first = rewriter();
    let pieces = (0..text.len()).step_by(PIECE_BYTES);
    let inside = pieces.take_while(|at| {
        let piece = text.slice(*at..text.len().min(at + PIECE_BYTES));
        first.feed(piece, &mut Output::default()).is_ok() && first.documents() == 0
    });
    let inside = (inside.count() * PIECE_BYTES).min(text.len());
    let (mut second, mut out) = (rewriter(), Output::default());
    // Byte by byte, because the text after the object is not JSON.
    let pieces = std::iter::once(0..inside).chain((inside..text.len()).map(|at| at..at + 1));
    for piece in pieces {
        let length = piece.end;
        match second.feed(text.slice(piece), &mut out) {
            Ok(()) if second.documents() == 0 => {}
            Ok(()) => {
                let object = out.copy_to_bytes(out.remaining());
                let object = String::from_utf8(object.into()).ok();
                return Ok(object.map(|mapped| Quotation { mapped, length }));
            }
            Err(RewriteError::Rejected(_)) => return Err(ForeignName),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The meaning of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    Field(Role),
    /// A field of the object in the last-applied annotation. A client could name any namespace there.
    LastAppliedField(Role),
    /// The metadata, buffered until all of it has been read.
    Metadata,
}

/// The rules for objects that messages quote, for one mode.
pub(crate) struct MessageRules {
    object: Rules,
    targets: Tags<Target>,
    annotations: LastAppliedRules,
}

impl MessageRules {
    /// Compiles the rules for objects with these fields.
    ///
    /// # Errors
    /// A rule's path is invalid.
    pub(crate) fn compile(fields: &[ObjectField<'_>], names: Names) -> Result<Self, RuleError> {
        let mut targets = Tags::new();
        let tag = |role| targets.tag(Target::LastAppliedField(role));
        let last_applied = last_applied_rules(fields, names, tag)?;
        let metadata = targets.tag(Target::Metadata);
        let rules = Rules::builder().item("$.metadata", "$.metadata", metadata);
        let object_rules = ObjectRules {
            fields,
            direction: Direction::Response,
            names,
            last_applied: &last_applied,
        };
        let object = object_rules.add(rules, "$", |role| targets.tag(Target::Field(role)));
        Ok(Self {
            object: object.build()?,
            targets,
            annotations: LastAppliedRules::compile(fields)?,
        })
    }
}

/// Maps a quoted object.
struct QuotedObject<'a> {
    scope: &'a RequestScope,
    rules: &'a MessageRules,
    metadata: ResponseMetadata,
    managed_fields: ManagedFields,
}

impl Handler for QuotedObject<'_> {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        if let Some(scope) = self.scope.shared() {
            return match self.rules.targets.meaning(tag) {
                Some(Target::Field(role)) => translated_string(role, value, scope),
                _ => Edit::Reject(UNKNOWN_RULE),
            };
        }
        let remote = std::str::from_utf8(value).ok();
        let local = remote.and_then(|remote| self.scope.local_namespace(remote));
        match (self.rules.targets.meaning(tag), local) {
            (Some(Target::Field(Role::Namespace) | Target::LastAppliedField(_)), Some(local)) => {
                Edit::Replace(local)
            }
            (Some(Target::Field(Role::Namespace)), None) if self.scope.includes_foreign() => {
                Edit::Reject(FOREIGN_NAMESPACE)
            }
            (Some(Target::Field(Role::Namespace) | Target::LastAppliedField(_)), None) => {
                Edit::Keep
            }
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    fn raw_value(&mut self, tag: Tag, raw: &[u8]) -> Edit<'_> {
        match self.rules.targets.meaning(tag) {
            Some(Target::Field(Role::OwnerReferences)) => {
                let edit = self.metadata.owner_references(raw);
                edit.unwrap_or(Edit::Reject(UNREADABLE_METADATA))
            }
            // A message also quotes bodies of clients, whose finalizers need not be a list of names.
            Some(Target::Field(Role::Finalizers)) => {
                self.metadata.finalizers(raw).unwrap_or(Edit::Keep)
            }
            Some(Target::Field(Role::LastApplied)) => match self.scope.shared() {
                Some(scope) => translated_annotation(raw, scope, &self.rules.annotations),
                None => Edit::Reject(UNKNOWN_RULE),
            },
            Some(Target::Field(Role::ManagedFields)) => {
                self.managed_fields.rewrite(raw).unwrap_or(Edit::Keep)
            }
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    fn object_end(&mut self, tag: Tag) -> Addition<'_> {
        match self.rules.targets.meaning(tag) {
            Some(Target::Field(Role::Annotations)) => self.metadata.annotations_end(),
            Some(Target::Field(Role::Metadata)) => self.metadata.metadata_end(),
            _ => Addition::Nothing,
        }
    }

    fn begin_item(&mut self, _item: Tag) {
        self.metadata = ResponseMetadata::default();
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        self.metadata.complete();
        ItemDecision::Keep
    }
}

/// Maps a string of an object that has other names on the control plane. The request names the object, so its names
/// are known. Any other object is foreign.
fn translated_string(role: Role, value: &[u8], scope: &SharedScope) -> Edit<'static> {
    if let Role::OriginAnnotation(_) | Role::OriginLabel(_) = role {
        return Edit::Remove;
    }
    let Some(names) = requested_names(scope) else {
        return Edit::Reject(FOREIGN_NAMESPACE);
    };
    last_applied::owned(last_applied::name_to_local(role, value, scope, &names))
}

/// Maps the last-applied annotation of such an object, given as JSON.
fn translated_annotation(
    raw: &[u8],
    scope: &SharedScope,
    rules: &LastAppliedRules,
) -> Edit<'static> {
    let Some(names) = requested_names(scope) else {
        return Edit::Reject(FOREIGN_NAMESPACE);
    };
    if let Some(local) = rules.with_origin_to_local(raw, scope, &names) {
        return Edit::Replace(local.into());
    }
    let applied = serde_json::from_slice::<String>(raw).ok();
    let local = applied.and_then(|applied| rules.to_local(&applied, scope, &names));
    let local = local.and_then(|local| last_applied::quote_like_go(&local));
    local.map_or(Edit::Keep, |local| Edit::Replace(local.into()))
}

/// Returns the names of the object that the request names.
fn requested_names(scope: &SharedScope) -> Option<ObjectNames> {
    let object = scope.object()?;
    Some(ObjectNames {
        local: object.local.clone(),
        remote: ObjectKey::new(scope.mapping().namespace(), &object.remote_name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_scopes::{message_rules, one};

    /// Quotes a text as Go does, given the characters that it considers printable.
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
        fn quoted_object_is_mapped_like_a_body(
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
            let scope = one();
            let text = format!("{}: no", object("app-ns-1"));
            let mapped = to_local(&text, &scope, &message_rules(&scope)).ok().flatten();
            let quotation = Quotation {
                mapped: object("default"),
                length: text.len() - ": no".len(),
            };
            proptest::prop_assert_eq!(mapped, Some(quotation));
        }
    }
}
