//! Any documents, any rules, cut anywhere: the same as the simple way.

use arbitrary::{Arbitrary, Unstructured};
use claimgate::rewrite::Framing;
use proptest::prelude::*;

use super::check::{check, check_bytes, check_cuts, check_portable};
use super::generate::{Case, plan};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_documents_come_out_as_the_simple_way_makes_them(
        entropy in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(case) = Case::arbitrary(&mut Unstructured::new(&entropy)) {
            check(&case);
        }
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut_and_by_any_code(
        entropy in prop::collection::vec(any::<u8>(), 0..60),
        text in "[\\[\\]{}\":,\\\\a-e0-9 mns]{0,80}",
        sizes in prop::collection::vec(1usize..20, 1..4),
        many in any::<bool>(),
    ) {
        if let Ok(plan) = plan(&mut Unstructured::new(&entropy)) {
            let framing = if many { Framing::Many } else { Framing::One };
            check_cuts(&plan, framing, text.as_bytes(), &sizes);
            check_portable(&plan, framing, text.as_bytes(), &sizes);
            check_bytes(&plan, framing, text.as_bytes());
        }
    }
}
