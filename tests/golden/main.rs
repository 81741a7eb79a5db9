//! Golden files: bodies as they come, and beside each what the daemon's own rules make of it, `.out`,
//! or why it can't be passed on, `.error`. Every one goes through cut at every byte.
//!
//! Local namespaces `default` and `team` are `app-ns-1` and `app-ns-2` on the control plane; what is
//! about one namespace is about the first. `UPDATE_GOLDEN=1` writes what is missing or differs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use claimgate::mapping::Namespaces;
use claimgate::rewrite::{Error, Framing, Handler, Limits, Output, Rewriter, Rules};
use claimgate::translate::Scope;
use claimgate::translate::hidden::{Current, Effect};
use claimgate::translate::request::RequestRules;
use claimgate::translate::response::{ResponseHandler, ResponseRules, Shape};

fn one() -> Scope {
    Scope::One {
        local: "default".to_owned(),
        remote: "app-ns-1".to_owned(),
    }
}

fn mapped() -> Scope {
    let rows = [("default", "app-ns-1"), ("team", "app-ns-2")];
    let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
    Scope::Mapped(Arc::new(Namespaces::table(rows.into()).unwrap()))
}

fn run(
    rules: &Rules,
    framing: Framing,
    handler: impl Handler,
    portable: bool,
    chunks: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    let mut rewriter = Rewriter::new(rules.clone(), framing, Limits::default(), handler);
    if portable {
        rewriter = rewriter.portable();
    }
    let mut out = Output::default();
    for chunk in chunks {
        rewriter.feed(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.copy_to_bytes(out.len()).to_vec())
}

/// What becomes of a body, which is the same however it is cut.
fn rewritten<H: Handler>(
    rules: &Rules,
    framing: Framing,
    handler: impl Fn() -> H,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let run = |portable, chunks: &[&[u8]]| {
        let result = run(rules, framing, handler(), portable, chunks);
        result.map_err(|error| error.to_string())
    };
    let whole = run(false, &[input]);
    for at in 0..=input.len() {
        let (a, b) = input.split_at(at);
        assert_eq!(run(at % 2 == 0, &[a, b]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(false, &bytes), whole, "byte by byte");
    whole
}

fn response(shape: Shape, scope: fn() -> Scope, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile().unwrap().rules(shape, &scope());
    by(&rules, shape, scope, input)
}

/// Tables whose rows are judged by objects that the client does not want.
fn bare(shape: Shape, input: &[u8]) -> Result<Vec<u8>, String> {
    let rules = ResponseRules::compile().unwrap().without_row_objects(shape);
    by(&rules, shape, mapped, input)
}

fn by(rules: &Rules, shape: Shape, scope: fn() -> Scope, input: &[u8]) -> Result<Vec<u8>, String> {
    let framing = match shape {
        Shape::Watch | Shape::Status => Framing::Many,
        Shape::Object | Shape::List => Framing::One,
    };
    let handler = || ResponseHandler::new(scope(), shape);
    rewritten(rules, framing, handler, input)
}

/// What the control plane hides of the objects that are written.
fn current() -> Current {
    let hidden = r#"{"ownerReferences":[{"uid":"1\\\""}],"finalizers":["foregroundDeletion"]}"#;
    let annotations = serde_json::json!({ "claimgate.dev/hidden": hidden });
    let metadata = serde_json::json!({
        "resourceVersion": "7", "finalizers": ["x", "y"], "annotations": annotations,
    });
    let object = serde_json::json!({ "metadata": metadata }).to_string();
    Current::read(object.as_bytes()).unwrap()
}

fn request(
    rules: impl Fn(&RequestRules) -> &Rules,
    effect: Effect,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let all = RequestRules::compile().unwrap();
    let handler = || all.handler(one(), effect.clone());
    rewritten(rules(&all), Framing::One, handler, input)
}

/// A JSON patch, which is mapped whole, and whether it names the version that it is meant for.
fn patch(input: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let all = RequestRules::compile().unwrap();
    let handler = || all.handler(one(), Effect::Patch(None));
    let mapped = rewritten(&all.json_patch, Framing::One, handler, input)?;
    let mut rewriter = Rewriter::new(
        all.json_patch.clone(),
        Framing::One,
        Limits::default(),
        handler(),
    );
    rewriter.whole(Bytes::copy_from_slice(input)).unwrap();
    let handler = rewriter.handler();
    let completed = handler.with_local_copies(mapped.into());
    let completed = completed.map_err(str::to_owned)?;
    Ok((completed.to_vec(), handler.names_version()))
}

/// Every input of a folder, beside what it has to become.
fn check(folder: &str, rewritten: impl Fn(&[u8]) -> Result<Vec<u8>, String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let (extension, text) = match rewritten(&fs::read(&path).unwrap()) {
            Ok(output) => ("out", output),
            Err(error) => ("error", format!("{error}\n").into_bytes()),
        };
        let expected: PathBuf = path.with_extension(extension);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        let wanted = fs::read(&expected).unwrap_or_default();
        let shown = String::from_utf8_lossy;
        assert_eq!(shown(&text), shown(&wanted), "{}", expected.display());
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}

#[test]
fn objects() {
    check("object", |input| response(Shape::Object, one, input));
}

#[test]
fn lists() {
    check("list", |input| response(Shape::List, mapped, input));
}

#[test]
fn watches() {
    check("watch", |input| response(Shape::Watch, mapped, input));
}

#[test]
fn lists_without_objects() {
    check("bare-list", |input| bare(Shape::List, input));
}

#[test]
fn watches_without_objects() {
    check("bare-watch", |input| bare(Shape::Watch, input));
}

#[test]
fn statuses() {
    check("status", |input| response(Shape::Status, one, input));
}

#[test]
fn statuses_of_all_namespaces() {
    check("mapped-status", |input| {
        response(Shape::Status, mapped, input)
    });
}

#[test]
fn requests() {
    check("request", |input| {
        request(|rules| &rules.object, Effect::Harmless, input)
    });
}

#[test]
fn updates() {
    check("update", |input| {
        request(|rules| &rules.object, Effect::Update(current()), input)
    });
}

#[test]
fn merge_patches() {
    check("merge-patch", |input| {
        let effect = Effect::Patch(Some(current()));
        request(|rules| &rules.object, effect, input)
    });
}

#[test]
fn patches() {
    check("patch", |input| patch(input).map(|(patch, _)| patch));
}

#[test]
fn patches_of_what_is_hidden() {
    check("completed-patch", |input| {
        let (patch, names_version) = patch(input)?;
        let completed = current().complete_json_patch(&patch, names_version);
        completed.map_err(|error| error.to_string())
    });
}
