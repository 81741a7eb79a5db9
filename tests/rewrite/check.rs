//! What holds for every stream, whatever is in it.

use bytes::{Buf, Bytes};
use claimgate::rewrite::{
    Code, Error, Framing, Handler, Limits, Output, Rewriter, Rules, Tag, Verdict,
};

use super::generate::Case;
use super::oracle::{MEMBER, Plan, Renamer, cut, expected, rewriter, run, without_space};

type Kind = std::mem::Discriminant<Error>;

fn kind(result: Result<Vec<u8>, Error>) -> Result<Vec<u8>, Kind> {
    result.map_err(|error| std::mem::discriminant(&error))
}

/// The case through the rewriter, in its chunks and others, against the oracle.
pub(crate) fn check(case: &Case) {
    let Some(rules) = case.plan.compile() else {
        return;
    };
    let input = case.write(&case.documents);
    let made = || rewriter(&rules, case.framing, case.limits);
    let whole = run(made(), [input.as_slice()]);
    let same = |how: &str, other| assert_eq!(other, whole, "{how}");
    // Down to the offset of an error.
    same("in pieces", run(made(), cut(&input, &case.sizes)));
    same("byte by byte", run(made(), input.chunks(1)));
    for code in Code::ALL {
        for pieces in [vec![input.as_slice()], cut(&input, &case.sizes)] {
            if let Some(rewriter) = made().by(code) {
                same(&format!("{code:?}"), run(rewriter, pieces));
            }
        }
    }
    check_bounds(&rules, case, &input);
    match (whole, expected(&case.plan, case.limits, &case.documents)) {
        (Ok(output), Ok(left)) => {
            let wanted = case.write(&left);
            // White space beside what goes or comes is as good on either side of it.
            let same = if case.space.is_empty() || only_replaces(&case.plan) {
                output == wanted
            } else {
                without_space(&output) == without_space(&wanted)
            };
            let shown = String::from_utf8_lossy;
            assert!(
                same,
                "{}\nbecame\n{}\nand not\n{}",
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

/// Whether nothing comes or goes by the plan.
fn only_replaces(plan: &Plan) -> bool {
    plan.removed.is_empty()
        && plan.values.is_empty()
        && plan.ends.is_empty()
        && plan.item.is_none()
        && plan.strings.iter().all(|(_, tag)| *tag != MEMBER)
}

/// What may be held is bounded, and whether that is met does not depend on the chunks.
fn check_bounds(rules: &Rules, case: &Case, input: &[u8]) {
    for held_bytes_max in [150, 400] {
        let limits = Limits {
            held_bytes_max,
            ..case.limits
        };
        let made = || rewriter(rules, case.framing, limits);
        let whole = run(made(), [input]);
        for pieces in [cut(input, &case.sizes), cut(input, &[1])] {
            let other = run(made(), pieces);
            assert_eq!(
                other.is_ok(),
                whole.is_ok(),
                "{held_bytes_max}: {other:?} {whole:?} {}",
                String::from_utf8_lossy(input)
            );
            if let (Ok(other), Ok(whole)) = (&other, &whole) {
                assert_eq!(other, whole);
            }
        }
    }
}

/// Any bytes at all come to the same however they are cut.
pub(crate) fn check_cuts(plan: &Plan, framing: Framing, text: &[u8], sizes: &[usize]) {
    let Some(rules) = plan.compile() else {
        return;
    };
    for (held_bytes_max, string_bytes_max) in [(100, 16), (16, 30), (4 << 20, 16)] {
        let limits = Limits {
            string_bytes_max,
            depth_max: 8,
            held_bytes_max,
            key_bytes_max: 12,
            inner_string_bytes_max: 12,
            inner_depth_max: 3,
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
    let too_large = Error::HeldTooLarge { offset: 0, max: 0 };
    let too_large = kind(Err(too_large));
    let too_long = kind(Err(Error::ValueTooLong { offset: 0, max: 0 }));
    for sizes in [sizes, &[1]] {
        let other = kind(run(made(), cut(text, sizes)));
        // What is too long may be found to be broken first, if it comes in one piece; but not to be
        // beyond another bound.
        if other != too_large || whole == too_long {
            assert_eq!(other, whole, "{sizes:?}");
        }
        assert_eq!(other.is_ok(), whole.is_ok(), "{sizes:?}");
    }
    // What left before an error is the beginning of what would have left.
    let (some, more) = (let_out(made(), text, sizes), let_out(made(), text, &[1]));
    let common = some.len().min(more.len());
    assert_eq!(some[..common], more[..common], "let out before an error");
}

/// Any bytes at all come to the same by all code that this machine has.
pub(crate) fn check_portable(plan: &Plan, framing: Framing, text: &[u8], sizes: &[usize]) {
    let Some(rules) = plan.compile() else {
        return;
    };
    let made = || rewriter(&rules, framing, Limits::default());
    let best = run(made(), cut(text, sizes));
    for code in Code::ALL {
        if let Some(rewriter) = made().by(code) {
            // Down to the offset of an error.
            assert_eq!(run(rewriter, cut(text, sizes)), best, "{code:?}");
        }
    }
}

fn let_out(mut rewriter: Rewriter<Renamer>, text: &[u8], sizes: &[usize]) -> Vec<u8> {
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

/// Leaves all as it is.
struct Nothing;

impl Handler for Nothing {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Verdict<'_> {
        Verdict::Keep
    }
}

/// Where nothing is to change nothing does; and what serde_json takes is taken.
pub(crate) fn check_bytes(plan: &Plan, framing: Framing, text: &[u8]) {
    let Some(rules) = plan.compile().filter(|_| plan.removed.is_empty()) else {
        return;
    };
    let mut rewriter = Rewriter::new(rules, framing, Limits::default(), Nothing);
    let mut out = Output::default();
    let fed = rewriter.feed(Bytes::copy_from_slice(text), &mut out);
    let result = fed.and_then(|()| rewriter.finish(&mut out));
    let output = out.copy_to_bytes(out.len());
    match result {
        Ok(()) => assert_eq!(output, text),
        Err(error) => {
            assert!(text.starts_with(&output), "what left is not what came");
            let valid = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
            assert!(!valid, "{error}: {}", String::from_utf8_lossy(text));
        }
    }
}
