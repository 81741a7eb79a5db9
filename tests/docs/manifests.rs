//! The manifests of the page about GitOps are objects. A unit test of `claimgate kubeconfig` compares them with what the
//! command prints.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde_json::Value;

use crate::read;

const PAGE: &str = "docs/src/operations/gitops.md";

#[test]
fn manifests_of_the_gitops_page_are_objects() {
    let blocks = yaml_blocks(&read(PAGE));
    assert_eq!(blocks.len(), 5, "{blocks:?}");
    for block in blocks {
        let object: Value = serde_saphyr::from_str(&block)
            .unwrap_or_else(|error| panic!("{PAGE}: {error}:\n{block}"));
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            let value = object.pointer(field).and_then(Value::as_str);
            assert!(value.is_some(), "{PAGE}: no {field} in\n{block}");
        }
    }
}

/// Returns the text of all code blocks in the language YAML.
fn yaml_blocks(page: &str) -> Vec<String> {
    let (mut blocks, mut block) = (Vec::new(), None::<String>);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                block = (&*language == "yaml").then(String::new);
            }
            Event::Text(text) => {
                if let Some(block) = &mut block {
                    block.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
            _ => {}
        }
    }
    blocks
}
