//! Every relative link in the Markdown files leads to an existing file and heading.
//!
//! This is a test and not a tool, because lychee and mdbook-linkcheck2 need minutes to build. They bring
//! an HTTP client, and mdbook-linkcheck2 checks only the pages of the book.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{read, root};

const BOOK: &str = "docs/src";

/// Files outside of the book that are also checked.
const OTHERS: [&str; 11] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
    "certs/README.md",
    "config/README.md",
    "config/chart/README.md",
    "crates/json-rewrite/README.md",
    "fuzz/README.md",
    "tests/kubernetes/README.md",
];

#[test]
fn relative_links_lead_to_files_and_headings() {
    let mut files = pages();
    files.extend(OTHERS.iter().map(PathBuf::from));
    let (mut broken, mut count) = (Vec::new(), 0);
    for file in &files {
        for link in links(&expanded(file)) {
            count += 1;
            if let Err(problem) = check(file, &link) {
                broken.push(format!("{}: {link}: {problem}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn summary_lists_every_page_once() {
    let summary = Path::new(BOOK).join("SUMMARY.md");
    let mut listed: Vec<PathBuf> = links(&expanded(&summary))
        .iter()
        .map(|link| Path::new(BOOK).join(link))
        .collect();
    listed.push(summary);
    listed.sort();
    assert_eq!(listed, pages());
}

fn check(file: &Path, link: &str) -> Result<(), String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => file.to_owned(),
        _ => normalized(&file.parent().unwrap().join(path)),
    };
    if !root().join(&target).exists() {
        return Err("the file does not exist".to_owned());
    }
    // mdbook copies nothing from outside of its source folder.
    if file.starts_with(BOOK) && !target.starts_with(BOOK) {
        return Err("the file is not part of the book".to_owned());
    }
    if anchor.is_empty() || anchors(&expanded(&target)).contains(anchor) {
        return Ok(());
    }
    Err("the heading does not exist".to_owned())
}

/// Resolves `..` in a path without reading the file system.
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(normalized.pop(), "{} leaves", path.display()),
            other => normalized.push(other),
        }
    }
    normalized
}

/// Returns the Markdown files of the book, sorted.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![PathBuf::from(BOOK)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 15, "only {pages:?} were found");
    pages
}

/// Returns the text of a file with its `{{#include}}` lines replaced, as mdbook does it.
fn expanded(file: &Path) -> String {
    let text = read(file.to_str().unwrap());
    let include = |line: &str| {
        let path = line
            .trim()
            .strip_prefix("{{#include ")?
            .strip_suffix("}}")?;
        Some(normalized(&file.parent().unwrap().join(path)))
    };
    text.lines()
        .map(|line| match include(line) {
            Some(path) => expanded(&path),
            None => format!("{line}\n"),
        })
        .collect()
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// Returns the targets of all links, without those to other sites.
fn links(text: &str) -> Vec<String> {
    let targets = parser(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
        _ => None,
    });
    targets
        .filter(|target| !target.contains("://"))
        .map(|target| target.to_string())
        .collect()
}

/// Returns the anchors of all headings. Git forges and mdbook create them in the same way: lower case,
/// white space becomes `-`, and punctuation is left out. A repeated heading gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut heading) = (BTreeSet::new(), None::<String>);
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let base: String = heading
                    .take()
                    .unwrap()
                    .chars()
                    .filter_map(anchor_char)
                    .collect();
                let numbered = (1..).map(|number| format!("{base}-{number}"));
                let mut candidates = std::iter::once(base.clone()).chain(numbered);
                let anchor = candidates.find(|anchor| !anchors.contains(anchor));
                anchors.extend(anchor);
            }
            _ => {}
        }
    }
    anchors
}

fn anchor_char(c: char) -> Option<char> {
    match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    }
}

#[test]
fn repeated_headings_get_numbers() {
    let anchors = anchors("# One `two`, three\n\n## A\n\n## A\n");
    let expected = ["a", "a-1", "one-two-three"];
    assert_eq!(
        anchors.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}
