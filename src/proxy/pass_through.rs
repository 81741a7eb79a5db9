//! Response bodies as they came, remote namespaces and all: what mapping costs is measured against
//! it (`benches/daemon`). Only with the cargo feature `pass-through`, and only if the environment wants
//! it.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame};

use super::admission::Admitted;
use crate::body::{Broken, ReplyBody};
use crate::metrics::Metrics;
use crate::rewrite::Output;
use crate::upstream::ResponseBody;

/// Not one of the configuration's, lest a daemon without the feature take it for a key.
const VARIABLE: &str = "MEASURE_PASS_THROUGH";

static WANTED: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os(VARIABLE).is_some_and(|value| value == "1"));

pub(super) fn is_wanted() -> bool {
    *WANTED
}

pub(super) fn body(upstream: ResponseBody, metrics: Metrics, admitted: Admitted) -> ReplyBody {
    ReplyBody::streamed(Passed {
        upstream,
        metrics,
        _admitted: admitted,
    })
}

struct Passed {
    upstream: ResponseBody,
    metrics: Metrics,
    _admitted: Admitted,
}

impl Body for Passed {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.upstream).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|error| Broken(error.to_string()))?;
            let frame = frame.map_data(Output::from);
            this.metrics.sent(frame.data_ref().map_or(0, Output::len));
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_end_stream()
    }
}
