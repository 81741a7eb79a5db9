//! Checks of properties that every stream has. Each check panics if the property is violated.

use bytes::{Buf, Bytes};
use json_rewrite::{
    Edit, Framing, Handler, InstructionSet, Limits, Output, RewriteError, Rewriter, Rules, Tag,
};

use crate::generate::Case;
use crate::oracle::expected;
use crate::plan::Plan;
use crate::renamer::{MEMBER, Renamer};
use crate::streams::{cut, rewriter, run, without_space};

type Kind = std::mem::Discriminant<RewriteError>;

fn kind(result: Result<Vec<u8>, RewriteError>) -> Result<Vec<u8>, Kind> {
    result.map_err(|error| std::mem::discriminant(&error))
}

/// Rewrites the case in its own chunks and in others, and compares the output with the oracle.
pub fn check_case(case: &Case) {
    let Some(rules) = case.plan.compile() else {
        return;
    };
    let input = case.write(&case.documents);
    let made = || rewriter(&rules, case.framing, case.limits);
    let whole = run(made(), [input.as_slice()]);
    let same = |how: &str, other| assert_eq!(other, whole, "{how}");
    // Errors must have the same offset too.
    same("in chunks", run(made(), cut(&input, &case.sizes)));
    same("byte by byte", run(made(), input.chunks(1)));
    for set in InstructionSet::ALL {
        for pieces in [vec![input.as_slice()], cut(&input, &case.sizes)] {
            if let Some(rewriter) = made().with_instruction_set(set) {
                same(&format!("{set:?}"), run(rewriter, pieces));
            }
        }
    }
    check_bounds(&rules, case, &input);
    match (whole, expected(&case.plan, case.limits, &case.documents)) {
        (Ok(output), Ok(left)) => {
            let wanted = case.write(&left);
            // Around additions and removals, the oracle may place white space differently.
            let same = if case.space.is_empty() || only_replaces(&case.plan) {
                output == wanted
            } else {
                without_space(&output) == without_space(&wanted)
            };
            let shown = String::from_utf8_lossy;
            assert!(
                same,
                "input\n{}\noutput\n{}\nexpected\n{}",
                shown(&input),
                shown(&output),
                shown(&wanted)
            );
        }
        (Err(_), Err(_)) => {}
        (whole, expected) => panic!(
            "{}\n{whole:?}\n{expected:?}",
            String::from_utf8_lossy(&input)
        ),
    }
}

/// Returns whether the plan neither adds nor removes anything.
fn only_replaces(plan: &Plan) -> bool {
    plan.removed.is_empty()
        && plan.raw_values.is_empty()
        && plan.object_ends.is_empty()
        && plan.item.is_none()
        && plan.strings.iter().all(|(_, tag)| *tag != MEMBER)
}

/// Checks that exceeding the buffer limit does not depend on the chunks.
fn check_bounds(rules: &Rules, case: &Case, input: &[u8]) {
    for buffered_bytes_max in [150, 400] {
        let limits = Limits {
            buffered_bytes_max,
            ..case.limits
        };
        let made = || rewriter(rules, case.framing, limits);
        let whole = run(made(), [input]);
        for pieces in [cut(input, &case.sizes), cut(input, &[1])] {
            let other = run(made(), pieces);
            assert_eq!(
                other.is_ok(),
                whole.is_ok(),
                "{buffered_bytes_max}: {other:?} {whole:?} {}",
                String::from_utf8_lossy(input)
            );
            if let (Ok(other), Ok(whole)) = (&other, &whole) {
                assert_eq!(other, whole);
            }
        }
    }
}

/// Checks that the result for any bytes does not depend on the chunks.
pub fn check_cuts(plan: &Plan, framing: Framing, text: &[u8], sizes: &[usize]) {
    let Some(rules) = plan.compile() else {
        return;
    };
    for (buffered_bytes_max, string_bytes_max) in [(100, 16), (16, 30), (4 << 20, 16)] {
        let limits = Limits {
            string_bytes_max,
            depth_max: 8,
            buffered_bytes_max,
            key_bytes_max: 12,
            embedded_string_bytes_max: 12,
            embedded_depth_max: 3,
        };
        check_cuts_within(&rules, limits, framing, text, sizes);
    }
}

fn check_cuts_within(
    rules: &Rules,
    limits: Limits,
    framing: Framing,
    text: &[u8],
    sizes: &[usize],
) {
    let made = || rewriter(rules, framing, limits);
    let whole = kind(run(made(), [text]));
    let too_large = RewriteError::BufferLimit { offset: 0, max: 0 };
    let too_large = kind(Err(too_large));
    let too_long = kind(Err(RewriteError::StringTooLong { offset: 0, max: 0 }));
    for sizes in [sizes, &[1]] {
        let other = kind(run(made(), cut(text, sizes)));
        // In one chunk, a syntax error inside a string can be found before the string exceeds the buffer limit.
        // An error of another limit cannot.
        if other != too_large || whole == too_long {
            assert_eq!(other, whole, "{sizes:?}");
        }
        assert_eq!(other.is_ok(), whole.is_ok(), "{sizes:?}");
    }
    // The output before an error is a prefix of the full output.
    let (some, more) = (
        output_before_error(made(), text, sizes),
        output_before_error(made(), text, &[1]),
    );
    let common = some.len().min(more.len());
    assert_eq!(some[..common], more[..common], "output before an error");
}

/// Checks that the result for any bytes does not depend on the instruction set.
pub fn check_instruction_sets(plan: &Plan, framing: Framing, text: &[u8], sizes: &[usize]) {
    let Some(rules) = plan.compile() else {
        return;
    };
    let made = || rewriter(&rules, framing, Limits::default());
    let best = run(made(), cut(text, sizes));
    for set in InstructionSet::ALL {
        if let Some(rewriter) = made().with_instruction_set(set) {
            // Errors must have the same offset too.
            assert_eq!(run(rewriter, cut(text, sizes)), best, "{set:?}");
        }
    }
}

fn output_before_error(mut rewriter: Rewriter<Renamer>, text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Output::default();
    for chunk in cut(text, sizes) {
        if rewriter
            .feed(Bytes::copy_from_slice(chunk), &mut out)
            .is_err()
        {
            break;
        }
    }
    out.copy_to_bytes(out.len()).to_vec()
}

/// A handler that changes nothing.
struct KeepAll;

impl Handler for KeepAll {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Keep
    }
}

/// Checks that nothing changes if the handler changes nothing, and that everything that serde_json accepts is
/// accepted.
pub fn check_bytes(plan: &Plan, framing: Framing, text: &[u8]) {
    let Some(rules) = plan.compile().filter(|_| plan.removed.is_empty()) else {
        return;
    };
    let mut rewriter = Rewriter::new(rules, framing, Limits::default(), KeepAll);
    let mut out = Output::default();
    let fed = rewriter.feed(Bytes::copy_from_slice(text), &mut out);
    let result = fed.and_then(|()| rewriter.finish(&mut out));
    let output = out.copy_to_bytes(out.len());
    match result {
        Ok(()) => assert_eq!(output, text),
        Err(error) => {
            assert!(
                text.starts_with(&output),
                "the output is not a prefix of the input"
            );
            let valid = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
            assert!(!valid, "{error}: {}", String::from_utf8_lossy(text));
        }
    }
}
