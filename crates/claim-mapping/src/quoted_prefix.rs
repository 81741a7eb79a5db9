//! The first bytes of a request's body, which kube-apiserver quotes if it cannot recognize the object
//! (`apiserver/pkg/endpoints/handlers/rest.go`, `transformDecodeError`).
//!
//! It quotes the body that claimgate sent, not the client's. The quotation can cut off a remote name at any
//! byte, so it is replaced as a whole.

/// Number of bytes that kube-apiserver quotes.
pub const QUOTED_BYTES_MAX: usize = 30;

/// A quotation at the end of a message, and its replacement.
#[derive(Clone, Debug)]
pub struct QuotedPrefix {
    remote: String,
    local: String,
}

impl QuotedPrefix {
    /// Compares the quotations of the client's body (`local`) and of the body that was sent (`remote`). Returns
    /// `None` if they are equal.
    pub fn new(local: &[u8], remote: &[u8]) -> Option<Self> {
        let [local, remote] = [local, remote].map(|body| format!("({})", quoted(body)));
        (local != remote).then_some(Self { remote, local })
    }

    /// Splits a message into the text before its quotation, and the quotation to use instead. Returns `None` if
    /// the message does not end with the quotation.
    pub(crate) fn split<'a>(&'a self, message: &'a str) -> Option<(&'a str, &'a str)> {
        Some((message.strip_suffix(&self.remote)?, &self.local))
    }
}

/// Quotes the beginning of a body as kube-apiserver does: JSON as text, anything else in hexadecimal.
pub fn quoted(body: &[u8]) -> String {
    let (begin, rest) = body.split_at(body.len().min(QUOTED_BYTES_MAX));
    let more = if rest.is_empty() { "" } else { " ..." };
    match begin.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => text(begin) + more,
        Some(_) => {
            let digits = begin.iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>() + more
        }
    }
}

/// Decodes a text as Go does: each byte that is not UTF-8 becomes U+FFFD.
fn text(bytes: &[u8]) -> String {
    let replaced = |bytes: &[u8]| "\u{fffd}".repeat(bytes.len());
    let chunks = bytes.utf8_chunks();
    let chunks = chunks.map(|chunk| chunk.valid().to_owned() + &replaced(chunk.invalid()));
    chunks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_names_are_not_quoted_even_in_part() {
        let body = |namespace: &str| format!(r#"{{"metadata":{{"namespace":"{namespace}"}}}}"#);
        let (local, remote) = (body("default"), body("app-ns-1"));
        let prefix = QuotedPrefix::new(local.as_bytes(), remote.as_bytes()).unwrap();
        let message = r#"no kind ({"metadata":{"namespace":"app- ...)"#;
        let quotation = r#"({"metadata":{"namespace":"defa ...)"#;
        assert_eq!(prefix.split(message), Some(("no kind ", quotation)));
        assert_eq!(prefix.split("no kind"), None);
        assert!(QuotedPrefix::new(local.as_bytes(), local.as_bytes()).is_none());
    }

    #[test]
    fn truncated_character_is_quoted_like_in_go() {
        assert_eq!(quoted(b""), "<empty>");
        assert_eq!(quoted(b"hello"), "68656c6c6f");
        assert_eq!(quoted(b"{\xe2\x82"), "{\u{fffd}\u{fffd}");
        let long = format!("{{{}", "x".repeat(30));
        assert_eq!(quoted(long.as_bytes()), format!("{} ...", &long[..30]));
    }
}
