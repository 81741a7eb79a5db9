//! The functions behind the fuzz targets. The oracle, the generator and the checks come from
//! `json-rewrite-testing`, so a crash can be replayed as a test of the rewriter.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "as in a test, a panic is the finding"
)]

mod requests;
mod shared;

use arbitrary::{Arbitrary, Unstructured};
use json_rewrite::Framing;
use json_rewrite_testing::check;
use json_rewrite_testing::generate::{self, Case};
use json_rewrite_testing::plan::Plan;

/// Length in bytes of the part of the input that selects rules and chunk sizes. The text follows it.
const HEAD_BYTES: usize = 32;

/// Checks the text as a body of a request: an object, a merge patch or an apply patch.
pub fn object(bytes: &[u8]) {
    requests::object(bytes);
    shared::object(bytes);
}

/// Checks the text as a JSON patch.
pub fn json_patch(bytes: &[u8]) {
    requests::json_patch(bytes);
    shared::patch(bytes);
}

/// Generates documents and rules from the input and compares the rewriter with the oracle.
pub fn documents(bytes: &[u8]) {
    if let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) {
        check::check_case(&case);
    }
}

/// Feeds the text to a handler that changes nothing. Checks that the output is the input, and that all JSON is
/// accepted.
pub fn bytes(bytes: &[u8]) {
    with_text(bytes, |plan, framing, text, _| {
        check::check_bytes(plan, framing, text);
    });
}

/// Feeds the text in chunks of any size.
pub fn chunks(bytes: &[u8]) {
    with_text(bytes, check::check_cuts);
}

/// Feeds the text with every instruction set of this machine.
pub fn portable(bytes: &[u8]) {
    with_text(bytes, check::check_instruction_sets);
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
        Framing::Sequence
    } else {
        Framing::SingleValue
    }
}
