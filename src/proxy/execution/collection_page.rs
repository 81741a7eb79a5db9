//! One page of a collection, with the metadata of its objects.

use std::collections::HashMap;

use serde::Deserialize;

/// A claim that the request covers.
pub(super) struct ListedClaim {
    pub(super) name: String,
    /// The name under which the control plane stores the claim. It is not computed from the local name, because the
    /// claim may have been stored when the limit of names was another one.
    pub(super) remote_name: String,
    pub(super) uid: String,
}

/// The objects of one page of a list.
pub(super) struct CollectionPage {
    pub(super) claims: Vec<ListedClaim>,
    /// The remote names of objects that the request does not cover.
    pub(super) foreign: Vec<String>,
    /// The continue token of the next page.
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    items: Vec<Object>,
}

#[derive(Deserialize)]
struct ListMeta {
    r#continue: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct ObjectMeta {
    name: String,
    uid: String,
}

impl CollectionPage {
    /// Reads a list as the control plane sent it, and the same list after it was mapped. The mapping drops the objects
    /// that the request does not cover, and no two objects have the same uid.
    ///
    /// # Errors
    /// One of the lists cannot be read.
    pub(super) fn read(remote: &[u8], mapped: &[u8]) -> Result<Self, serde_json::Error> {
        let List { metadata, items } = serde_json::from_slice(remote)?;
        let mapped: List = serde_json::from_slice(mapped)?;
        let mapped = mapped.items.into_iter().map(|object| object.metadata);
        let mut local_names: HashMap<_, _> = mapped.map(|meta| (meta.uid, meta.name)).collect();
        let mut page = Self {
            claims: Vec::new(),
            foreign: Vec::new(),
            next: metadata.r#continue.filter(|token| !token.is_empty()),
        };
        for Object { metadata } in items {
            match local_names.remove(&metadata.uid) {
                Some(name) => page.claims.push(ListedClaim {
                    name,
                    remote_name: metadata.name,
                    uid: metadata.uid,
                }),
                None => page.foreign.push(metadata.name),
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_that_the_mapping_drops_are_foreign() {
        let object = |name: &str, uid: &str| json!({"metadata": {"name": name, "uid": uid}});
        let remote = json!({
            "metadata": {"continue": "next"},
            "items": [object("a-1", "1"), object("b-2", "2")],
        });
        let mapped = json!({"metadata": {}, "items": [object("a", "1")]});
        let [remote, mapped] = [remote, mapped].map(|list| list.to_string());
        let page = CollectionPage::read(remote.as_bytes(), mapped.as_bytes()).unwrap();
        let [claim] = page.claims.as_slice() else {
            panic!("{} claims", page.claims.len());
        };
        assert_eq!(claim.name, "a");
        assert_eq!(claim.remote_name, "a-1");
        assert_eq!(claim.uid, "1");
        assert_eq!(page.foreign, ["b-2"]);
        assert_eq!(page.next.as_deref(), Some("next"));
    }
}
