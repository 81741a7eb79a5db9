//! One pass over a small list, for callgrind: `instructions CASE best|portable`.

use claimgate_benches::{Claims, cases, chunks, pass, rewriter};

/// Claims in the list, which the count is divided by.
const CLAIMS: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, path] = arguments.as_slice() else {
        eprintln!("usage: instructions CASE best|portable");
        std::process::exit(2);
    };
    let rules = cases().into_iter().find(|(name, _)| name == case);
    let Some((_, rules)) = rules else {
        eprintln!("{case} is none of the cases");
        std::process::exit(2);
    };
    let claims = Claims {
        count: CLAIMS,
        ..Claims::default()
    };
    let mut rewriter = rewriter(&rules);
    if path == "portable" {
        rewriter = rewriter.portable();
    }
    println!("{}", pass(rewriter, chunks(claims.list())));
}
