//! Maps the content of a Status: messages, the fields and names of their causes, and continue tokens.

use std::collections::VecDeque;

use json_rewrite::Edit;

use crate::continue_token::{ForeignToken, NextPage};
use crate::messages::{self, MessageRules};
use crate::quoted_prefix::QuotedPrefix;
use crate::request_scope::RequestScope;

const UNKNOWN_TOKEN: &str = "the control plane sent a continue token of an unknown form";

/// Maps a message. If the message changes, bytes that are not UTF-8 become U+FFFD.
pub(super) fn message(
    value: &[u8],
    quoted: Option<&QuotedPrefix>,
    scope: &RequestScope,
    rules: &MessageRules,
) -> Edit<'static> {
    let message = String::from_utf8_lossy(value);
    let (text, quotation) = match quoted.and_then(|quoted| quoted.split(&message)) {
        Some((text, quotation)) => (text, Some(quotation)),
        None => (&*message, None),
    };
    match (messages::to_local(text, scope, rules), quotation) {
        (None, None) => Edit::Keep,
        (Some(text), None) => Edit::Replace(text.into()),
        (Some(text), Some(quotation)) => Edit::Replace((text + quotation).into()),
        (None, Some(quotation)) => Edit::Replace(format!("{text}{quotation}").into()),
    }
}

/// The field of an object's name, in a cause.
const NAME_FIELD: &str = "metadata.name";

/// The messages of causes that wait for their fields. A cause about the length of a name contains a limit, which is
/// another one for local names. Only the `field`, which follows the message, shows what the cause is about.
#[derive(Debug, Default)]
pub(super) struct DeferredCauses {
    /// Whether each message that waits is about the object's name, in their order.
    about_name: VecDeque<bool>,
    /// The message that was read last waits for its field.
    awaits_field: bool,
}

impl DeferredCauses {
    /// Reads the message of a cause. Returns whether it waits.
    pub(super) fn defers(&mut self, message: &[u8], scope: &RequestScope) -> bool {
        self.awaits_field = scope.translates_names() && messages::is_limit(message);
        if self.awaits_field {
            self.about_name.push_back(false);
        }
        self.awaits_field
    }

    pub(super) fn read_field(&mut self, field: &[u8]) {
        let waiting = self.about_name.back_mut().filter(|_| self.awaits_field);
        if let Some(about_name) = waiting {
            *about_name = field == NAME_FIELD.as_bytes();
        }
        self.awaits_field = false;
    }

    /// Maps the next message that waits.
    pub(super) fn resolve(
        &mut self,
        message: &[u8],
        scope: &RequestScope,
        rules: &MessageRules,
    ) -> Edit<'static> {
        if self.about_name.pop_front() != Some(true) {
            return self::message(message, None, scope, rules);
        }
        let prefix = format!("{NAME_FIELD}: ");
        let named = format!("{prefix}{}", String::from_utf8_lossy(message));
        let local = messages::to_local(&named, scope, rules);
        let local = local
            .as_deref()
            .and_then(|local| local.strip_prefix(&prefix));
        local.map_or(Edit::Keep, |local| Edit::Replace(local.to_owned().into()))
    }
}

/// Maps the `field` of a cause.
pub(super) fn cause_field(value: &[u8], scope: &RequestScope) -> Edit<'static> {
    let field = String::from_utf8_lossy(value);
    let local = messages::field_to_local(&field, scope);
    local.map_or(Edit::Keep, |local| Edit::Replace(local.into()))
}

/// Maps the name in the details of a Status about a namespace. Its message contains the name too (`namespaces
/// "X" not found`). A name that is not UTF-8 cannot be a namespace and stays.
pub(super) fn namespace_name<'a>(value: &[u8], scope: &'a RequestScope) -> Edit<'a> {
    let remote = std::str::from_utf8(value).ok();
    let local = remote.and_then(|remote| scope.local_namespace(remote));
    local.map_or(Edit::Keep, Edit::Replace)
}

/// Maps the name in the details of a Status about an object. The deletion of a collection can fail because of any
/// object in it.
pub(super) fn object_name(value: &[u8], scope: &RequestScope) -> Edit<'static> {
    let (remote, scope) = (std::str::from_utf8(value).ok(), scope.shared());
    let local = remote
        .zip(scope)
        .and_then(|(remote, scope)| scope.local_name(remote));
    local.map_or(Edit::Keep, |local| Edit::Replace(local.into()))
}

/// Maps the token for the next page of a list.
pub(super) fn continue_token(value: &[u8], scope: &RequestScope) -> Edit<'static> {
    if value.is_empty() {
        return Edit::Keep;
    }
    let token = std::str::from_utf8(value).map_err(|_error| ForeignToken);
    match token.and_then(|token| scope.token_to_local(token)) {
        Ok(NextPage::Token(token)) => Edit::Replace(token.into()),
        Ok(NextPage::End) => Edit::Remove,
        Err(ForeignToken) => Edit::Reject(UNKNOWN_TOKEN),
    }
}
