//! Query strings.

use std::fmt;

/// The parameters of a query string, in the order of the request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes form-urlencoded text, in which `+` is a space. Go's `url.Values` uses the same
    /// encoding.
    pub fn parse(raw: &str) -> Self {
        Self(
            url::form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Returns the first value of a parameter. Kubernetes ignores further ones.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// Sets a parameter to one value, at the position of its first occurrence, or at the end if it is absent.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter().position(|(k, _)| k == key) {
            Some(first) => {
                let mut at = 0;
                self.0.retain_mut(|(k, v)| {
                    if at == first {
                        value.clone_into(v);
                    }
                    at += 1;
                    at - 1 == first || k != key
                });
            }
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Removes every occurrence of a parameter.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(k, _)| k != key);
    }

    /// Returns whether the query turns a list into a watch.
    pub fn is_watch(&self) -> bool {
        self.is_true("watch")
    }

    /// Returns whether a boolean parameter is true. Kubernetes reads every value as true except `0` and `false`
    /// in any case (`apimachinery/pkg/runtime/converter.go`).
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        f.write_str(&text.extend_pairs(&self.0).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_keeps_order_and_replaces_in_place() {
        let mut query = Query::parse("a=1&fieldSelector=metadata.namespace%3Dx&a=2&b=+y");
        query.set("a", "3");
        assert_eq!(
            query.to_string(),
            "a=3&fieldSelector=metadata.namespace%3Dx&b=+y"
        );
        query.set("c", "");
        query.remove("b");
        assert_eq!(
            query.to_string(),
            "a=3&fieldSelector=metadata.namespace%3Dx&c="
        );
    }
}
