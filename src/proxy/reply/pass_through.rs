//! Passes response bodies through without mapping: the baseline for measuring the cost of mapping
//! (`benches/daemon`). Requires the cargo feature `pass-through` and an
//! environment variable.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use http_body::Body;

use crate::body::{BrokenBody, ChunkSource, ReplyBody};
use crate::proxy::admission::RequestPermit;
use crate::telemetry::metrics::Metrics;
use crate::upstream::ResponseBody;
use json_rewrite::Output;

/// The variable that enables pass-through. It does not have the prefix of configuration keys, so a
/// daemon without the feature does not reject it.
const VARIABLE: &str = "MEASURE_PASS_THROUGH";

static ENABLED: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os(VARIABLE).is_some_and(|value| value == "1"));

pub(super) fn is_enabled() -> bool {
    *ENABLED
}

pub(super) fn body(upstream: ResponseBody, metrics: Metrics, permit: RequestPermit) -> ReplyBody {
    ReplyBody::streamed(PassThrough {
        upstream,
        metrics,
        _permit: permit,
    })
}

struct PassThrough {
    upstream: ResponseBody,
    metrics: Metrics,
    _permit: RequestPermit,
}

impl ChunkSource for PassThrough {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        let frame = ready!(Pin::new(&mut self.upstream).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|error| BrokenBody(error.to_string()))?;
            let chunk = Output::from(frame.into_data().unwrap_or_default());
            self.metrics.sent(chunk.len());
            Ok(chunk)
        }))
    }

    fn is_finished(&self) -> bool {
        self.upstream.is_end_stream()
    }
}
