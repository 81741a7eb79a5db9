//! Runs a rewriter over the files of a folder, and compares its output.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use json_rewrite::{Handler, Output, RewriteError, Rewriter};

fn run<H: Handler>(
    mut rewriter: Rewriter<H>,
    portable: bool,
    chunks: &[&[u8]],
) -> Result<Vec<u8>, RewriteError> {
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

/// Rewrites a body, and checks that splitting it anywhere gives the same result.
pub(crate) fn rewritten<H: Handler>(
    rewriter: impl Fn() -> Rewriter<H>,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let run = |portable, chunks: &[&[u8]]| {
        let result = run(rewriter(), portable, chunks);
        result.map_err(|error| error.to_string())
    };
    let whole = run(false, &[input]);
    for at in 0..=input.len() {
        let (a, b) = input.split_at(at);
        assert_eq!(run(at % 2 == 0, &[a, b]), whole, "split at {at}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(false, &bytes), whole, "byte by byte");
    whole
}

/// Returns whether the expected files are written instead of compared.
pub(crate) fn is_updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Checks every input in a folder against the expected file next to it.
pub(crate) fn check(folder: &str, rewritten: impl Fn(&[u8]) -> Result<Vec<u8>, String>) {
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
        if is_updating() {
            fs::write(&expected, &text).unwrap();
        }
        let wanted = fs::read(&expected).unwrap_or_default();
        let shown = String::from_utf8_lossy;
        assert_eq!(shown(&text), shown(&wanted), "{}", expected.display());
        count += 1;
    }
    assert!(count > 0, "{folder} is empty");
}
