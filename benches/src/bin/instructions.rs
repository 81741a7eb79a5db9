//! Rewrites a small list once, for callgrind: `instructions CASE best|portable`.

use claimgate_benches::{
    Claims, all_namespaces, cases, chunks, daemon_rewriter, one_namespace, pass, rewriter,
    shared_namespace,
};
use json_rewrite::{Handler, Rewriter};

/// Number of claims in the list. The script `benches/instructions` divides by it.
const CLAIMS: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, path] = arguments.as_slice() else {
        eprintln!("usage: instructions CASE best|portable");
        std::process::exit(2);
    };
    match case.as_str() {
        "daemon" => rewrite_list(daemon_rewriter(one_namespace()), path),
        "daemon-all" => rewrite_list(daemon_rewriter(all_namespaces()), path),
        "daemon-shared" => {
            let list = claims().shared_list();
            rewrite(daemon_rewriter(shared_namespace()), path, list);
        }
        _ => match cases().into_iter().find(|(name, _)| name == case) {
            Some((_, rules)) => rewrite_list(rewriter(&rules), path),
            None => {
                eprintln!("unknown case {case}; see instructions.tsv for the known ones");
                std::process::exit(2);
            }
        },
    }
}

fn claims() -> Claims {
    Claims {
        count: CLAIMS,
        ..Claims::default()
    }
}

fn rewrite_list(rewriter: Rewriter<impl Handler>, path: &str) {
    rewrite(rewriter, path, claims().list());
}

fn rewrite(mut rewriter: Rewriter<impl Handler>, path: &str, list: Vec<u8>) {
    if path == "portable" {
        rewriter = rewriter.portable();
    }
    println!("{}", pass(rewriter, chunks(list)));
}
