use serde_json::{Value, json};

use super::*;
use crate::dev::control_plane::storage::Store;
use crate::dev::example;

fn store() -> Store {
    let store = Store::new(vec![example::claims()], 100);
    store.write(|state| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
        create(state, &Resource::namespaces(), "", object, false).unwrap();
    });
    store
}

fn made(store: &Store, object: Value) -> Result<Value, ApiError> {
    let stored = store.write(|state| create(state, &example::claims(), "n", object, false))?;
    Ok(stored.value.clone())
}

fn changed(store: &Store, part: Part, change: impl FnOnce(&mut Value)) -> Result<Value, ApiError> {
    let stored = store.write(|state| {
        modify(
            state,
            &example::claims(),
            ("n", "a"),
            part,
            false,
            |current| {
                let mut next = current.clone();
                change(&mut next);
                Ok(next)
            },
        )
    })?;
    Ok(stored.value.clone())
}

fn latest(store: &Store) -> u64 {
    store.read(|state| state.log.latest())
}

#[test]
fn create_sets_what_is_the_servers() {
    let store = store();
    let mut claim = example::claim("n", "a", 2);
    claim["status"] = json!({"nodeCount": 9});
    claim["metadata"]["uid"] = json!("mine");
    let object = made(&store, claim).unwrap();
    assert_eq!(object["metadata"]["generation"], 1);
    assert_ne!(object["metadata"]["uid"], "mine");
    assert_eq!(
        object["metadata"]["resourceVersion"],
        latest(&store).to_string()
    );
    assert!(object.get("status").is_none());
}

#[test]
fn create_refuses_as_kubernetes_does() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let again = made(&store, example::claim("n", "a", 2)).unwrap_err();
    assert_eq!((again.code, again.reason), (409, "AlreadyExists"));
    let elsewhere = made(&store, example::claim("other", "b", 2)).unwrap_err();
    assert_eq!(elsewhere.code, 400);
    let named = made(&store, example::claim("n", "No_Name", 2)).unwrap_err();
    assert_eq!(named.code, 422);
    let nowhere = store
        .write(|state| {
            let object = example::claim("gone", "a", 2);
            create(state, &example::claims(), "gone", object, false)
        })
        .unwrap_err();
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
        made(&store, claim()).unwrap(),
        made(&store, claim()).unwrap(),
    );
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("a-"));
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
}

#[test]
fn only_a_change_of_the_spec_counts_as_generation() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let labelled = changed(&store, Part::Main, |next| {
        next["metadata"]["labels"] = json!({"a": "b"})
    });
    assert_eq!(labelled.unwrap()["metadata"]["generation"], 1);
    let scaled = changed(&store, Part::Main, |next| {
        next["spec"]["nodeCount"] = json!(5)
    });
    assert_eq!(scaled.unwrap()["metadata"]["generation"], 2);
}

#[test]
fn a_write_that_changes_nothing_is_none() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let before = latest(&store);
    changed(&store, Part::Main, |_| {}).unwrap();
    assert_eq!(latest(&store), before);
}

#[test]
fn spec_and_status_are_written_apart() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let both = |next: &mut Value| {
        next["spec"]["nodeCount"] = json!(7);
        next["status"] = json!({"nodeCount": 7});
    };
    let status = changed(&store, Part::Status, both).unwrap();
    assert_eq!(
        (&status["spec"]["nodeCount"], &status["status"]["nodeCount"]),
        (&json!(2), &json!(7))
    );
    let main = changed(&store, Part::Main, |next| next["status"] = json!({})).unwrap();
    assert_eq!(main["status"]["nodeCount"], 7);
}

#[test]
fn stale_versions_and_other_uids_conflict() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let stale = changed(&store, Part::Main, |next| {
        next["metadata"]["resourceVersion"] = json!("1")
    });
    assert_eq!(stale.unwrap_err().code, 409);
    let other = changed(&store, Part::Main, |next| {
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
fn finalizers_hold_an_object_until_they_are_gone() {
    let store = store();
    let mut claim = example::claim("n", "a", 2);
    claim["metadata"]["finalizers"] = json!(["example.org/wait"]);
    made(&store, claim).unwrap();
    let deleted = store.write(|state| {
        delete(
            state,
            &example::claims(),
            ("n", "a"),
            &Preconditions::default(),
            false,
        )
    });
    assert!(matches!(deleted, Ok(Deleted::Terminating(_))));
    let released = changed(&store, Part::Main, |next| {
        next["metadata"]["finalizers"] = json!([])
    });
    assert!(released.unwrap()["metadata"]["deletionTimestamp"].is_string());
    assert!(
        store
            .read(|state| state.get(&example::claims(), "n/a"))
            .is_none()
    );
}

#[test]
fn a_snapshot_shows_the_past_until_compaction() {
    let store = store();
    made(&store, example::claim("n", "a", 2)).unwrap();
    let then = latest(&store);
    made(&store, example::claim("n", "b", 2)).unwrap();
    changed(&store, Part::Main, |next| {
        next["spec"]["nodeCount"] = json!(5)
    })
    .unwrap();
    let past = store
        .read(|state| state.snapshot(&example::claims(), "n/", Some(then)))
        .unwrap();
    assert_eq!(past.objects.len(), 1);
    assert_eq!(past.objects[0].1.value["spec"]["nodeCount"], 2);
    store.compact();
    let gone = store.read(|state| {
        state
            .snapshot(&example::claims(), "n/", Some(then))
            .is_err()
    });
    assert!(gone);
}
