//! How a request's body begins, which kube-apiserver quotes where it can't tell what the body is
//! (`apiserver/pkg/endpoints/handlers/rest.go`, `transformDecodeError`). What it quotes is what was
//! sent to it: other text than came from the client, and in it a name of the control plane's, cut off
//! anywhere.

/// Bytes that are quoted.
pub const QUOTED_BYTES_MAX: usize = 30;

/// What stands at the end of a refusal, and what is to stand there.
#[derive(Clone, Debug)]
pub struct Beginning {
    sent: String,
    came: String,
}

impl Beginning {
    /// `None` if both are quoted alike.
    pub fn new(came: &[u8], sent: &[u8]) -> Option<Self> {
        let [sent, came] = [sent, came].map(|body| format!("({})", quoted(body)));
        (sent != came).then_some(Self { sent, came })
    }

    /// The message up to what it quotes, and what to quote instead.
    pub(super) fn split<'a>(&'a self, message: &'a str) -> Option<(&'a str, &'a str)> {
        Some((message.strip_suffix(&self.sent)?, &self.came))
    }
}

/// JSON as text, anything else in hexadecimal.
pub fn quoted(body: &[u8]) -> String {
    let begin = body.get(..QUOTED_BYTES_MAX).unwrap_or(body);
    let more = if body.len() > begin.len() { " ..." } else { "" };
    match begin.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => text(begin) + more,
        Some(_) => {
            let digits = begin.iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>() + more
        }
    }
}

/// As Go has it, each byte that is no UTF-8 for itself.
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
    fn the_names_of_the_control_plane_are_not_quoted_even_in_part() {
        let body = |namespace: &str| format!(r#"{{"metadata":{{"namespace":"{namespace}"}}}}"#);
        let (came, sent) = (body("default"), body("app-ns-1"));
        let beginning = Beginning::new(came.as_bytes(), sent.as_bytes()).unwrap();
        let message = r#"no kind ({"metadata":{"namespace":"app- ...)"#;
        let local = r#"({"metadata":{"namespace":"defa ...)"#;
        assert_eq!(beginning.split(message), Some(("no kind ", local)));
        assert_eq!(beginning.split("no kind"), None);
        assert!(Beginning::new(came.as_bytes(), came.as_bytes()).is_none());
    }

    #[test]
    fn a_letter_that_is_cut_is_quoted_as_go_quotes_it() {
        assert_eq!(quoted(b""), "<empty>");
        assert_eq!(quoted(b"hello"), "68656c6c6f");
        assert_eq!(quoted(b"{\xe2\x82"), "{\u{fffd}\u{fffd}");
        let long = format!("{{{}", "x".repeat(30));
        assert_eq!(quoted(long.as_bytes()), format!("{} ...", &long[..30]));
    }
}
