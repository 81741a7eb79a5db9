//! Imports between the modules of `src/` go one way.
//!
//! Root modules import only those below them in the list in `lib.rs`, and files do not import each other in
//! cycles. A path counts as an import of the deepest module that it names. A parent that calls its child
//! imports it. `#[cfg(test)]` items do not count.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path from the root, `["router", "access"]`.
type Module = Vec<String>;

/// The modules that each module imports.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn modules_of_the_root_import_only_those_below_them() {
    let sources = sources();
    let order = declared_modules(&tokens(&sources[&Vec::new()]));
    let graph = graph(&sources);
    let position = |module: &Module| order.iter().position(|name| *name == module[0]).unwrap();
    let mut upward = Vec::new();
    let mut edges = 0;
    for (from, to) in edges_between(&graph, |module| module[0].clone()) {
        edges += 1;
        if position(&to) < position(&from) {
            upward.push(format!("{} imports {}", path(&from), path(&to)));
        }
    }
    assert!(order.len() > 10 && edges > 50, "{order:?}, {edges} imports");
    assert!(upward.is_empty(), "imports upwards:\n{}", upward.join("\n"));
}

#[test]
fn files_do_not_import_each_other_in_cycles() {
    let graph = graph(&sources());
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    let files = graph.len();
    assert!(files > 50 && edges > 150, "{files} files, {edges} imports");
    let cycles: Vec<String> = cycles(&graph)
        .iter()
        .map(|cycle| cycle.iter().map(path).collect::<Vec<_>>().join(" -> "))
        .collect();
    assert!(cycles.is_empty(), "import cycles:\n{}", cycles.join("\n"));
}

#[test]
fn cycles_are_found_in_all_kinds_of_paths() {
    for (a, b) in [
        ("use crate::b::B;", "use crate::a::A;"),
        ("use crate::{c, b::{self, B}};", "fn f(_: super::a::A) {}"),
        ("use super::b; // crate::c", "fn f() { crate::a::f() }"),
    ] {
        let sources = [("a", a), ("b", b), ("c", "")];
        let sources = sources.map(|(name, text)| (vec![name.to_owned()], text.to_owned()));
        let found = cycles(&graph(&BTreeMap::from(sources)));
        assert_eq!(found.len(), 1, "{a} {b}");
        assert_eq!(found[0].len(), 3, "{found:?}");
    }
    let sources = [
        (vec!["a".to_owned()], "mod b;\nfn f() { b::f() }".to_owned()),
        (
            vec!["a".to_owned(), "b".to_owned()],
            "use super::A;".to_owned(),
        ),
    ];
    assert_eq!(cycles(&graph(&BTreeMap::from(sources))).len(), 1);
}

#[test]
fn comments_strings_and_test_items_are_not_imports() {
    let b = r#"
        //! [`crate::a`]
        const NAME: &str = "crate::a::A";
        #[cfg(test)]
        use crate::a::A;
        #[cfg(test)]
        mod tests { use crate::a::A; }
    "#;
    let sources = [("a", "use crate::b::B;"), ("b", b)];
    let sources = sources.map(|(name, text)| (vec![name.to_owned()], text.to_owned()));
    assert!(cycles(&graph(&BTreeMap::from(sources))).is_empty());
}

fn path(module: &Module) -> String {
    module.join("::")
}

/// Returns the text of each module's file by the module's path. The root is `lib.rs`.
fn sources() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let module = file.strip_prefix(&root).unwrap().with_extension("");
            let module: Module = module
                .iter()
                .map(|name| name.to_str().unwrap().to_owned())
                .collect();
            if file.is_dir() {
                folders.push(file);
            } else if module == ["lib"] {
                sources.insert(Vec::new(), fs::read_to_string(file).unwrap());
            } else if module != ["main"] && module.last().unwrap() != "tests" {
                sources.insert(module, fs::read_to_string(file).unwrap());
            }
        }
    }
    sources
}

fn graph(sources: &BTreeMap<Module, String>) -> Graph {
    let mut graph = Graph::new();
    for (module, text) in sources.iter().filter(|(module, _)| !module.is_empty()) {
        let tokens = without_tests(tokens(text));
        let children = declared_modules(&tokens);
        let imports = paths(&tokens)
            .into_iter()
            .filter_map(|path| absolute(&path, module, &children))
            .filter_map(|path| deepest_module(path, sources))
            .filter(|imported| imported != module)
            .collect();
        graph.insert(module.clone(), imports);
    }
    graph
}

/// Splits a source into identifiers, `::` and single characters. Leaves out comments, literals and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string_length(rest)
        } else if first == '\'' {
            character_length(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let length = end.unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length in bytes of the string literal at the start of the text.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    text[start..]
        .find(&end)
        .map_or(text.len(), |at| start + at + end.len())
}

/// Returns the length in bytes of a character literal, or of the quote of a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let start = at + escaped.len_utf8();
            text[start..]
                .find('\'')
                .map_or(text.len(), |end| start + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Removes every item after `#[cfg(test)]`, up to its `;` or its closing brace.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut rest = &tokens[..];
    while let Some((first, others)) = rest.split_first() {
        if rest.len() < ATTRIBUTE.len() || rest[..ATTRIBUTE.len()] != ATTRIBUTE {
            kept.push(first.clone());
            rest = others;
            continue;
        }
        let mut depth = 0;
        let end = rest.iter().position(|token| {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(token.as_str(), ";" | "}")
        });
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
    }
    kept
}

/// Returns the names of the modules that the file declares.
fn declared_modules(tokens: &[String]) -> Vec<String> {
    let declarations = tokens.windows(3).filter(|w| w[0] == "mod" && w[2] == ";");
    declarations.map(|window| window[1].clone()).collect()
}

/// Returns all paths of two or more segments. Groups in `use` declarations are expanded.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            at = use_tree(tokens, at + 1, &[], &mut paths);
        } else if is_name(&tokens[at]) && (at == 0 || tokens[at - 1] != "::") {
            let mut path = vec![tokens[at].clone()];
            while at + 2 < tokens.len() && tokens[at + 1] == "::" && is_name(&tokens[at + 2]) {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            at += 1;
            if path.len() > 1 {
                paths.push(path);
            }
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads the tree of a `use` declaration and returns the index of its end.
fn use_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = use_tree(tokens, at, &path, paths);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            // Skips the new name.
            "as" => at += 2,
            name if is_name(name) || name == "*" => {
                if name != "self" || path.is_empty() {
                    path.push(name.to_owned());
                }
                at += 1;
            }
            _ => break,
        }
    }
    paths.push(path);
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the path from the root, or `None` if it belongs to another crate or to an item.
fn absolute(path: &[String], module: &Module, children: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut absolute = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len() - 1].to_vec(),
        name if children.iter().any(|child| child == name) => {
            [module.as_slice(), std::slice::from_ref(first)].concat()
        }
        _ => return None,
    };
    for name in rest {
        if name == "super" {
            absolute.pop();
        } else {
            absolute.push(name.clone());
        }
    }
    Some(absolute)
}

fn deepest_module(mut path: Module, sources: &BTreeMap<Module, String>) -> Option<Module> {
    while !path.is_empty() && !sources.contains_key(&path) {
        path.pop();
    }
    (!path.is_empty()).then_some(path)
}

/// Returns the imports between different groups.
fn edges_between(graph: &Graph, group: impl Fn(&Module) -> String) -> Vec<(Module, Module)> {
    let edges = graph
        .iter()
        .flat_map(|(from, imports)| imports.iter().map(move |to| (from.clone(), to.clone())));
    edges
        .filter(|(from, to)| group(from) != group(to))
        .collect()
}

/// Returns one cycle for each import that closes one. The first module of a cycle is also its last.
fn cycles(graph: &Graph) -> Vec<Vec<Module>> {
    fn visit(
        module: &Module,
        graph: &Graph,
        open: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
        cycles: &mut Vec<Vec<Module>>,
    ) {
        if let Some(start) = open.iter().position(|other| other == module) {
            cycles.push([&open[start..], std::slice::from_ref(module)].concat());
            return;
        }
        if done.contains(module) {
            return;
        }
        open.push(module.clone());
        for imported in graph.get(module).into_iter().flatten() {
            visit(imported, graph, open, done, cycles);
        }
        open.pop();
        done.insert(module.clone());
    }
    let (mut open, mut done, mut cycles) = (Vec::new(), BTreeSet::new(), Vec::new());
    for module in graph.keys() {
        visit(module, graph, &mut open, &mut done, &mut cycles);
    }
    cycles
}
