//! What the targets do with their bytes. The oracle and its generator are those of the tests.

// As in a test, a panic is the finding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

// The parts of the daemon that are fuzzed, under its name; links to its files.
#[allow(dead_code)]
pub mod mapping;
pub mod rewrite;
pub mod translate;
extern crate self as claimgate;

mod requests;

mod check;
mod generate;
mod oracle;

use arbitrary::{Arbitrary, Unstructured};
use claimgate::rewrite::Framing;

use self::generate::Case;
use self::oracle::Plan;
pub use self::requests::{json_patch, object};

/// Bytes of the input that make rules and cuts; what follows is the text.
const HEAD_BYTES: usize = 32;

/// Documents that the bytes are made into, against the oracle.
pub fn documents(bytes: &[u8]) {
    if let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) {
        check::check(&case);
    }
}

/// The text as it is: nothing changes where nothing is to, and what is JSON is taken.
pub fn bytes(bytes: &[u8]) {
    with_text(bytes, |plan, framing, text, _| {
        check::check_bytes(plan, framing, text)
    });
}

/// The text in pieces of any sizes.
pub fn chunks(bytes: &[u8]) {
    with_text(bytes, check::check_cuts);
}

/// The text by all code that this machine has.
pub fn portable(bytes: &[u8]) {
    with_text(bytes, check::check_portable);
}

fn with_text(bytes: &[u8], check: impl Fn(&Plan, Framing, &[u8], &[usize])) {
    let Some((head, text)) = bytes.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let mut head = Unstructured::new(head);
    if let Ok(plan) = generate::plan(&mut head) {
        let framing = framing(&mut head);
        let sizes = head.arbitrary().unwrap_or([1u8, 64, 200]).map(usize::from);
        check(&plan, framing, text, &sizes);
    }
}

fn framing(head: &mut Unstructured<'_>) -> Framing {
    if head.ratio(1, 4).unwrap_or_default() {
        Framing::Many
    } else {
        Framing::One
    }
}
