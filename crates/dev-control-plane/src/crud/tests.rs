use serde_json::{Value, json};

use super::*;
use crate::storage::Store;
use crate::{example, in_process};

fn store() -> Store {
    let store = Store::new(vec![example::claim_resource()], 100);
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    in_process::create(&store, &Resource::namespaces(), "", object).unwrap();
    store
}

fn create_claim(store: &Store, object: Value) -> Result<Value, StatusError> {
    let stored = in_process::create(store, &example::claim_resource(), "n", object)?;
    Ok(stored.value.clone())
}

fn change_claim(
    store: &Store,
    endpoint: Endpoint,
    change: impl FnOnce(&mut Value),
) -> Result<Value, StatusError> {
    let resource = example::claim_resource();
    let write = Write {
        resource: &resource,
        namespace: "n",
        name: "a",
        endpoint,
        manager: FieldManager::update("test", resource.api_version()),
        dry_run: false,
    };
    let stored = store.write(|state| {
        modify(state, &write, |current| {
            let mut next = current.clone();
            change(&mut next);
            Ok(next)
        })
    })?;
    Ok(stored.value.clone())
}

fn latest(store: &Store) -> u64 {
    store.read(|state| state.log.latest())
}

#[test]
fn create_sets_server_fields() {
    let store = store();
    let mut claim = example::claim("n", "a", 2);
    claim["status"] = json!({"nodes": {"count": 9}});
    claim["metadata"]["uid"] = json!("mine");
    let object = create_claim(&store, claim).unwrap();
    assert_eq!(object["metadata"]["generation"], 1);
    assert_ne!(object["metadata"]["uid"], "mine");
    assert_eq!(
        object["metadata"]["resourceVersion"],
        latest(&store).to_string()
    );
    assert!(object.get("status").is_none());
}

#[test]
fn create_rejects_duplicates_and_invalid_names() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let again = create_claim(&store, example::claim("n", "a", 2)).unwrap_err();
    assert_eq!((again.code, again.reason), (409, "AlreadyExists"));
    let elsewhere = create_claim(&store, example::claim("other", "b", 2)).unwrap_err();
    assert_eq!(elsewhere.code, 400);
    let named = create_claim(&store, example::claim("n", "No_Name", 2)).unwrap_err();
    assert_eq!(named.code, 422);
    let object = example::claim("gone", "a", 2);
    let nowhere =
        in_process::create(&store, &example::claim_resource(), "gone", object).unwrap_err();
    assert_eq!(nowhere.message, "namespaces \"gone\" not found");
}

#[test]
fn generated_names_differ() {
    let store = store();
    let claim = || {
        let mut claim = example::claim("n", "a", 2);
        claim["metadata"] = json!({"generateName": "a-"});
        claim
    };
    let (one, two) = (
        create_claim(&store, claim()).unwrap(),
        create_claim(&store, claim()).unwrap(),
    );
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("a-"));
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
}

#[test]
fn only_changes_of_the_spec_increase_the_generation() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let labelled = change_claim(&store, Endpoint::Object, |next| {
        next["metadata"]["labels"] = json!({"a": "b"})
    });
    assert_eq!(labelled.unwrap()["metadata"]["generation"], 1);
    let scaled = change_claim(&store, Endpoint::Object, |next| {
        next["spec"]["parameters"]["nodes"]["count"] = json!(5)
    });
    assert_eq!(scaled.unwrap()["metadata"]["generation"], 2);
}

#[test]
fn write_that_changes_nothing_is_not_stored() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let before = latest(&store);
    change_claim(&store, Endpoint::Object, |_| {}).unwrap();
    assert_eq!(latest(&store), before);
}

#[test]
fn object_and_status_endpoints_write_their_own_part() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let both = |next: &mut Value| {
        next["spec"]["parameters"]["nodes"]["count"] = json!(7);
        next["status"] = json!({"nodes": {"count": 7}});
    };
    let status = change_claim(&store, Endpoint::Status, both).unwrap();
    assert_eq!(
        (
            &status["spec"]["parameters"]["nodes"]["count"],
            &status["status"]["nodes"]["count"]
        ),
        (&json!(2), &json!(7))
    );
    let main = change_claim(&store, Endpoint::Object, |next| next["status"] = json!({})).unwrap();
    assert_eq!(main["status"]["nodes"]["count"], 7);
}

#[test]
fn stale_resource_version_or_wrong_uid_returns_409() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let stale = change_claim(&store, Endpoint::Object, |next| {
        next["metadata"]["resourceVersion"] = json!("1")
    });
    assert_eq!(stale.unwrap_err().code, 409);
    let other = change_claim(&store, Endpoint::Object, |next| {
        next["metadata"]["uid"] = json!("x")
    })
    .unwrap_err();
    assert!(
        other
            .message
            .contains("Key: /registry/k8s.starter.org/kubernetesclusters/n/a"),
        "{other}"
    );
}

#[test]
fn object_with_finalizers_stays_until_they_are_removed() {
    let store = store();
    let mut claim = example::claim("n", "a", 2);
    claim["metadata"]["finalizers"] = json!(["example.org/wait"]);
    create_claim(&store, claim).unwrap();
    let deleted = store.write(|state| {
        delete(
            state,
            &example::claim_resource(),
            ("n", "a"),
            &Preconditions::default(),
            false,
        )
    });
    assert!(matches!(deleted, Ok(Deleted::Terminating(_))));
    let released = change_claim(&store, Endpoint::Object, |next| {
        next["metadata"]["finalizers"] = json!([])
    });
    assert!(released.unwrap()["metadata"]["deletionTimestamp"].is_string());
    assert!(
        store
            .read(|state| state.get(&example::claim_resource(), "n/a"))
            .is_none()
    );
}

#[test]
fn snapshot_shows_the_past_until_compaction() {
    let store = store();
    create_claim(&store, example::claim("n", "a", 2)).unwrap();
    let then = latest(&store);
    create_claim(&store, example::claim("n", "b", 2)).unwrap();
    change_claim(&store, Endpoint::Object, |next| {
        next["spec"]["parameters"]["nodes"]["count"] = json!(5)
    })
    .unwrap();
    let past = store
        .read(|state| state.snapshot(&example::claim_resource(), "n/", Some(then)))
        .unwrap();
    assert_eq!(past.objects.len(), 1);
    assert_eq!(
        past.objects[0].1.value["spec"]["parameters"]["nodes"]["count"],
        2
    );
    store.compact();
    let gone = store.read(|state| {
        state
            .snapshot(&example::claim_resource(), "n/", Some(then))
            .is_err()
    });
    assert!(gone);
}
