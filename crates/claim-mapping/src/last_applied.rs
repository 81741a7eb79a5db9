//! The object in the last-applied annotation, if objects have other names on the control plane.
//!
//! kubectl writes the annotation in local names. kube-apiserver also writes it, in remote names and with the origin,
//! if an object that was applied by a client is then applied by the server
//! (`apimachinery/pkg/util/managedfields/internal/lastappliedupdater.go`).

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use json_rewrite::{Edit, Framing, Handler, Limits, Rewriter, RuleError, Rules, Tag};

use crate::json_members::JsonMembers;
use crate::mapping::ObjectKey;
use crate::object_fields::{Names, ObjectField, Role, last_applied_rules};
use crate::object_names::ObjectNames;
use crate::origin::{self, OriginKey};
use crate::request_scope::SharedScope;
use crate::tags::Tags;

/// Maps a name of the annotation's object to the local one. The annotation is a record, so names of other objects stay.
pub(crate) fn name_to_local<'a>(
    role: Role,
    value: &[u8],
    scope: &SharedScope,
    names: &'a ObjectNames,
) -> Edit<'a> {
    match role {
        Role::Name => names.name(value),
        Role::Namespace => names.namespace(value),
        Role::SecretName => names.secret_name(scope, value),
        _ => Edit::Keep,
    }
}

/// Maps a name of the annotation's object to the remote one.
pub(crate) fn name_to_remote<'a>(role: Role, value: &[u8], scope: &'a SharedScope) -> Edit<'a> {
    let (Ok(value), Some(namespace)) = (std::str::from_utf8(value), scope.local_namespace()) else {
        return Edit::Keep;
    };
    let object = scope.object();
    match role {
        Role::Name => match object {
            Some(object) if object.local.name == value => {
                Edit::Replace(object.remote_name.as_str().into())
            }
            _ => Edit::Keep,
        },
        Role::Namespace if value == namespace => Edit::Replace(scope.mapping().namespace().into()),
        Role::SecretName => {
            let key = ObjectKey::new(namespace, value);
            let remote = scope.mapping().remote_secret_name(&key);
            remote.map_or(Edit::Keep, |remote| Edit::Replace(remote.into()))
        }
        _ => Edit::Keep,
    }
}

/// The rules for annotations that are mapped as a whole.
#[derive(Clone, Debug)]
pub(crate) struct LastAppliedRules {
    names: Rules,
    roles: Tags<Role>,
}

impl LastAppliedRules {
    /// Compiles the rules for the names in objects with these fields.
    ///
    /// # Errors
    /// A rule's path is invalid.
    pub(crate) fn compile(fields: &[ObjectField<'_>]) -> Result<Self, RuleError> {
        let mut roles = Tags::new();
        let names = last_applied_rules(fields, Names::Translated, |role| roles.tag(role))?;
        Ok(Self { names, roles })
    }

    /// Maps an annotation to local names. Returns `None` if it is not JSON, which stays unchanged.
    pub(crate) fn to_local(
        &self,
        applied: &str,
        scope: &SharedScope,
        names: &ObjectNames,
    ) -> Option<String> {
        self.rewrite(applied, |role, value| {
            owned(name_to_local(role, value, scope, names))
        })
    }

    /// Maps an annotation to remote names. Returns `None` if it is not JSON, which stays unchanged.
    pub(crate) fn to_remote(&self, applied: &str, scope: &SharedScope) -> Option<String> {
        self.rewrite(applied, |role, value| {
            owned(name_to_remote(role, value, scope))
        })
    }

    /// Maps an annotation, given as JSON, whose object contains the origin. Returns the JSON of the local annotation, or
    /// `None` if the object does not contain the origin.
    pub(crate) fn with_origin_to_local(
        &self,
        raw: &[u8],
        scope: &SharedScope,
        names: &ObjectNames,
    ) -> Option<String> {
        if !origin::may_contain(raw) {
            return None;
        }
        let applied: String = serde_json::from_slice(raw).ok()?;
        let applied = without_origin(applied.as_bytes())?;
        let local = self.to_local(&applied, scope, names).unwrap_or(applied);
        quote_like_go(&local)
    }

    fn rewrite(&self, applied: &str, map: impl Fn(Role, &[u8]) -> Edit<'static>) -> Option<String> {
        // The same depth as in responses, so that a request maps only what a response maps back.
        let limits = Limits {
            depth_max: Limits::default().embedded_depth_max,
            ..Limits::for_body(2 * applied.len())
        };
        let roles = &self.roles;
        let mapper = Mapper { roles, map };
        let mut rewriter = Rewriter::new(self.names.clone(), Framing::SingleValue, limits, mapper);
        let mapped = rewriter.rewrite_all(Bytes::copy_from_slice(applied.as_bytes()));
        String::from_utf8(mapped.ok()?.into()).ok()
    }
}

/// Returns an edit that is a replacement or nothing, without its lifetime.
pub(crate) fn owned(edit: Edit<'_>) -> Edit<'static> {
    match edit {
        Edit::Replace(text) => Edit::Replace(text.into_owned().into()),
        _ => Edit::Keep,
    }
}

/// Maps the strings of the annotation's object.
struct Mapper<'a, F> {
    roles: &'a Tags<Role>,
    map: F,
}

impl<F: Fn(Role, &[u8]) -> Edit<'static>> Handler for Mapper<'_, F> {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        let role = self.roles.meaning(tag);
        role.map_or(Edit::Keep, |role| (self.map)(role, value))
    }
}

/// Quotes a text as Go does.
pub(crate) fn quote_like_go(text: &str) -> Option<String> {
    let rules = QUOTED.as_ref().ok()?;
    let limits = Limits::for_body(text.len() + 2);
    let rewriter = Rewriter::new(
        rules.clone(),
        Framing::SingleValue,
        limits,
        Replacement(text),
    );
    let quoted = { rewriter }.rewrite_all(Bytes::from_static(b"\"\""));
    String::from_utf8(quoted.ok()?.into()).ok()
}

static QUOTED: LazyLock<Result<Rules, RuleError>> =
    LazyLock::new(|| Rules::builder().string("$", 0).build());

struct Replacement<'a>(&'a str);

impl Handler for Replacement<'_> {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace(self.0.into())
    }
}

/// Removes the origin from the annotation's object. Returns `None` if the object
/// does not contain the origin.
pub(crate) fn without_origin(applied: &[u8]) -> Option<String> {
    if !origin::may_contain(applied) {
        return None;
    }
    let object = JsonMembers::read(applied).ok()??;
    let metadata = JsonMembers::read(object.get("metadata")?.as_bytes()).ok()??;
    let without = |key: &str, value: &str| {
        if !matches!(key, "annotations" | "labels") {
            return None;
        }
        let mut members = JsonMembers::read(value.as_bytes()).ok()??;
        let has_removed = members.retain(|key| OriginKey::parse(key).is_none());
        has_removed.then(|| (!members.is_empty()).then(|| members.to_json()))
    };
    let has_origin = |(key, value)| without(key, value).is_some();
    if !metadata.iter().any(has_origin) {
        return None;
    }
    let metadata = metadata.to_json_with(|key, value| match without(key, value) {
        Some(members) => members.map(Cow::Owned),
        None => Some(Cow::Borrowed(value)),
    });
    let object = object.to_json_with(|key, value| {
        Some(Cow::Borrowed(match key {
            "metadata" => metadata.as_str(),
            _ => value,
        }))
    });
    Some(object + "\n")
}

/// Adds the origin to the annotation's object, in the place where kube-apiserver writes it. Returns `None` if the text
/// is not an object with metadata.
///
/// kubectl moves the annotation that kube-apiserver wrote to another field manager, which fails if the value differs
/// from the stored one.
pub(crate) fn with_origin(applied: &str, scope: &SharedScope) -> Option<String> {
    let local = &scope.object()?.local;
    let cluster = scope.mapping().cluster();
    let object = JsonMembers::read(applied.as_bytes()).ok()??;
    let metadata = JsonMembers::read(object.get("metadata")?.as_bytes()).ok()??;
    let merged = |key: &str, own: &[(&str, &str)]| {
        let client = metadata.get(key).unwrap_or("{}");
        let client = JsonMembers::read(client.as_bytes()).ok()?;
        let own = own.iter().map(|(key, value)| {
            let value = serde_json::Value::from(*value).to_string();
            ((*key).to_owned(), value)
        });
        Some(client.unwrap_or_default().with_sorted(own))
    };
    let maps = [
        (
            "annotations",
            merged("annotations", &origin::annotations(cluster, local))?,
        ),
        ("labels", merged("labels", &origin::labels(cluster, local))?),
    ];
    let maps = maps.map(|(key, json)| (key.to_owned(), json));
    let metadata = metadata.with_sorted(maps.into_iter());
    let object = object.with_sorted(std::iter::once(("metadata".to_owned(), metadata)));
    Some(object + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_fields::object_fields;
    use crate::test_scopes::shared_object;

    #[test]
    fn names_of_the_object_map_both_ways() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        let references = [vec!["spec", "ref", "name"]];
        let rules = LastAppliedRules::compile(&object_fields(&references)).unwrap();
        let local = r#"{"metadata":{"name":"a","namespace":"default"},"spec":{"ref":{"name":"t"},"writeConnectionSecretToRef":{"name":"s"},"x":{"name":"a"}}}"#;
        let remote = rules.to_remote(local, scope).unwrap();
        let object = scope.object().unwrap();
        assert!(remote.contains(&format!(
            r#"{{"name":"{}","namespace":"remote"}}"#,
            object.remote_name
        )));
        assert!(remote.contains(r#""x":{"name":"a"}"#), "{remote}");
        for secret in ["s", "t"] {
            let key = ObjectKey::new("default", secret);
            let name = scope.mapping().remote_secret_name(&key).unwrap();
            assert!(
                remote.contains(&format!(r#":{{"name":"{name}"}}"#)),
                "{remote}"
            );
        }
        let names = ObjectNames {
            local: object.local.clone(),
            remote: ObjectKey::new("remote", &object.remote_name),
        };
        assert_eq!(
            rules.to_local(&remote, scope, &names).as_deref(),
            Some(local)
        );
        assert_eq!(rules.to_local("no JSON", scope, &names), None);
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(rules.to_remote(&deep, scope), None);
    }

    #[test]
    fn origin_is_added_where_it_was_removed() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        for local in [
            "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"x\":1.50}}\n",
            "{\"metadata\":{\"annotations\":{\"a\":\"b\",\"z\":\"\\u003c\"},\"labels\":{\"c\":\"d\"}}}\n",
        ] {
            let remote = with_origin(local, scope).unwrap();
            assert!(
                remote.contains("\"claimgate.dev/namespace\":\"default\""),
                "{remote}"
            );
            assert_eq!(without_origin(remote.as_bytes()).as_deref(), Some(local));
        }
        assert_eq!(with_origin("{}", scope), None);
    }

    #[test]
    fn origin_is_removed() {
        let applied = br#"{"a":1,"metadata":{"annotations":{"claimgate.dev/name":"a"},"labels":{"b":"c","claimgate.dev/name":"a"},"name":"a-1"}}"#;
        let expected = "{\"a\":1,\"metadata\":{\"labels\":{\"b\":\"c\"},\"name\":\"a-1\"}}\n";
        assert_eq!(without_origin(applied).as_deref(), Some(expected));
        assert_eq!(without_origin(br#"{"metadata":{"labels":{}}}"#), None);
        assert_eq!(without_origin(br#"{"spec":"claimgate.dev/"}"#), None);
    }
}
