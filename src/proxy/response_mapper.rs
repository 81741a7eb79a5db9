//! Maps responses to local names: the rules, and the rewriters that apply them.

use bytes::Bytes;

use super::plan::RemoteRequest;
use claim_mapping::quoted_prefix::QuotedPrefix;
use claim_mapping::response::{ResponseHandler, ResponseRules, Shape};
use claim_mapping::{ReferencePaths, RequestScope};
use json_rewrite::{Limits, RewriteError, Rewriter, RuleError};

/// Largest size in bytes of a string in a response that is compared or mapped.
const STRING_BYTES_MAX: usize = 64 << 10;

/// The compiled rules for responses with objects of one API group.
pub(super) struct ResponseMapper {
    rules: ResponseRules,
    /// `limits.maxBufferedSize`
    pub(super) buffered_bytes_max: usize,
}

/// An object in local names.
pub(super) struct MappedObject {
    /// Empty if the object belongs to another app cluster or local object.
    pub(super) json: Bytes,
    /// Whether someone changed claimgate's labels or annotations of the object.
    pub(super) is_damaged: bool,
}

impl ResponseMapper {
    /// Compiles the rules for objects in which these fields refer to Secrets.
    ///
    /// # Errors
    /// The path of a rule cannot be compiled. A test rules this out.
    pub(super) fn compile(
        references: &ReferencePaths,
        buffered_bytes_max: usize,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            rules: ResponseRules::compile(references)?,
            buffered_bytes_max,
        })
    }

    /// Returns the rewriter for the streamed body of a successful response.
    pub(super) fn rewriter(
        &self,
        remote: RemoteRequest,
        shape: Shape,
    ) -> Rewriter<ResponseHandler> {
        let limits = Limits {
            buffered_bytes_max: self.buffered_bytes_max,
            // The last-applied annotation is read as a string if names are translated.
            string_bytes_max: match remote.scope.translates_names() {
                true => self.buffered_bytes_max,
                false => STRING_BYTES_MAX,
            },
            key_bytes_max: self.buffered_bytes_max,
            ..Limits::default()
        };
        match remote.strips_row_objects {
            true => self.rules.without_row_objects(shape, remote.scope, limits),
            false => self.rules.rewriter(shape, remote.scope, limits),
        }
    }

    /// Maps one object.
    pub(super) fn map_object(
        &self,
        scope: &RequestScope,
        object: Bytes,
    ) -> Result<MappedObject, RewriteError> {
        let mut rewriter = self
            .rules
            .rewriter(Shape::Object, scope.clone(), self.limits());
        let json = rewriter.rewrite_all(object)?;
        Ok(MappedObject {
            json,
            is_damaged: rewriter.handler_mut().take_damaged_objects() > 0,
        })
    }

    /// Maps a Status that reports a failure. Its message may quote `quoted_prefix`, the beginning of the
    /// request's body.
    pub(super) fn map_failure(
        &self,
        scope: RequestScope,
        quoted_prefix: Option<QuotedPrefix>,
        status: Bytes,
    ) -> Result<Bytes, RewriteError> {
        self.rules
            .failure(scope, quoted_prefix, self.limits())
            .rewrite_all(status)
    }

    /// Maps the text of a failure that is not JSON. Returns `None` if nothing changes.
    pub(super) fn map_text(&self, scope: &RequestScope, text: &str) -> Option<String> {
        self.rules.text_to_local(text, scope)
    }

    /// Maps the value of a Warning header. Returns `None` if nothing changes.
    pub(super) fn map_warning(&self, scope: &RequestScope, warning: &[u8]) -> Option<String> {
        self.rules.warning_to_local(warning, scope)
    }

    fn limits(&self) -> Limits {
        Limits::for_body(self.buffered_bytes_max)
    }
}
