//! Properties of arbitrary documents and rules, in arbitrary chunks.

use arbitrary::{Arbitrary, Unstructured};
use json_rewrite::Framing;
use proptest::prelude::*;

use json_rewrite_testing::check::{check_bytes, check_case, check_cuts, check_instruction_sets};
use json_rewrite_testing::generate::{Case, plan};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn output_equals_the_oracle(
        entropy in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(case) = Case::arbitrary(&mut Unstructured::new(&entropy)) {
            check_case(&case);
        }
    }

    #[test]
    fn result_depends_neither_on_chunks_nor_on_the_instruction_set(
        entropy in prop::collection::vec(any::<u8>(), 0..60),
        text in "[\\[\\]{}\":,\\\\a-e0-9 mns]{0,80}",
        sizes in prop::collection::vec(1usize..20, 1..4),
        many in any::<bool>(),
    ) {
        if let Ok(plan) = plan(&mut Unstructured::new(&entropy)) {
            let framing = if many { Framing::Sequence } else { Framing::SingleValue };
            check_cuts(&plan, framing, text.as_bytes(), &sizes);
            check_instruction_sets(&plan, framing, text.as_bytes(), &sizes);
            check_bytes(&plan, framing, text.as_bytes());
        }
    }
}
