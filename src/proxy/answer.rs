//! The control plane's response on its way to the client.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName,
    LOCATION, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, WARNING,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::admission::Admitted;
use super::completion::Carried;
use super::compress::{self, Encoded};
use super::plan::Plan;
use super::response_body::Rewritten;
use super::{Asked, ControlPlane, Proxy, watch};
use crate::accept::Serializer;
use crate::body::{Broken, ReplyBody};
use crate::error::Error;
use crate::request_info::{ResourceRequest, Verb};
use crate::rewrite::{self, Framing, Limits, Output, Rewriter, Rules};
use crate::status;
use crate::translate::Scope;
use crate::translate::beginning::Beginning;
use crate::translate::response::{ResponseHandler, Shape};
use crate::translate::text;
use crate::upstream::ResponseBody;

/// Bytes of one string in a response that is compared or mapped.
const STRING_BYTES_MAX: usize = 64 << 10;

/// Headers that belong to one hop, that the aggregator adds itself, or that the serving side sets.
const DROPPED: [HeaderName; 14] = [
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    LOCATION,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WARNING,
    HeaderName::from_static("audit-id"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("x-kubernetes-pf-flowschema-uid"),
    HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid"),
];

impl Proxy {
    pub(super) async fn answer(
        &self,
        asked: Asked<'_>,
        plan: Plan,
        carried: Carried,
        admitted: Admitted,
    ) -> Result<Response<ReplyBody>, Error> {
        let is_head_of_gzip = asked.is_head_of_gzip();
        let Asked {
            control_plane,
            request,
            ..
        } = asked;
        let is_head = asked.parts.method == Method::HEAD;
        let Carried {
            answer,
            beginning,
            warnings,
        } = carried;
        let (parts, body) = answer.into_parts();
        let mut headers = headers(&parts.headers, &plan.scope);
        let serializer = match is_json(&headers) {
            false => Serializer::Json,
            true if parts.status.is_success() => plan.serializer,
            true => status::Media::of(asked.parts).serializer,
        };
        let bad = |why: String| Error::BadAnswer {
            control_plane: control_plane.name.clone(),
            why,
        };
        let reply = match parts.status {
            StatusCode::UNAUTHORIZED => {
                return Err(Error::Away {
                    control_plane: control_plane.name.clone(),
                    why: "it refuses claimgate's own credentials (401)".into(),
                });
            }
            status if status.is_redirection() || status.is_informational() => {
                return Err(bad(format!("status {status}")));
            }
            _ if is_head && !is_head_of_gzip => ReplyBody::whole(Bytes::new()),
            status if !status.is_success() => {
                let mapped = self
                    .failure(control_plane, status, &headers, plan.scope, beginning, body)
                    .await?;
                self.written(serializer, &control_plane.name, mapped)
                    .await?
            }
            _ if let Err(error) = body.readable() => return Err(bad(error.to_string())),
            _ if !is_json(&headers) => {
                let kind = headers.get(CONTENT_TYPE).cloned();
                return Err(bad(format!("content type {kind:?} instead of JSON")));
            }
            _ => {
                self.success(asked, plan, body, admitted, &mut headers)
                    .await?
            }
        };
        if serializer != Serializer::Json {
            let is_watched = request.verb == Verb::Watch && parts.status.is_success();
            let content_type = match is_watched {
                true => serializer.stream_type(),
                false => serializer.content_type(),
            };
            headers.insert(CONTENT_TYPE, content_type);
        }
        warn_first(&mut headers, warnings);
        let mut answer = Response::new(match is_head {
            true => ReplyBody::whole(Bytes::new()),
            false => reply,
        });
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// A successful answer, mapped, and in what is wanted.
    async fn success(
        &self,
        asked: Asked<'_>,
        plan: Plan,
        upstream: ResponseBody,
        admitted: Admitted,
        headers: &mut HeaderMap,
    ) -> Result<ReplyBody, Error> {
        let Asked {
            control_plane,
            request,
            parts,
            ..
        } = asked;
        let serializer = plan.serializer;
        let mapped = self.mapped(request, plan, upstream, admitted);
        if request.verb == Verb::Watch {
            return self.written_by_event(serializer, mapped);
        }
        let written = self
            .written(serializer, &control_plane.name, mapped)
            .await?;
        let packed = packed(written, compress::is_accepted(&parts.headers), headers).await;
        packed.map_err(|broken| Error::BadAnswer {
            control_plane: control_plane.name.clone(),
            why: broken.to_string(),
        })
    }

    fn mapped(
        &self,
        request: &ResourceRequest,
        plan: Plan,
        upstream: ResponseBody,
        admitted: Admitted,
    ) -> ReplyBody {
        #[cfg(feature = "pass-through")]
        if super::pass_through::is_wanted() {
            let metrics = self.metrics.clone();
            return super::pass_through::body(upstream, metrics, admitted);
        }
        let shape = match request.verb {
            Verb::Watch => Shape::Watch,
            Verb::List | Verb::DeleteCollection => Shape::List,
            _ => Shape::Object,
        };
        let limits = Limits {
            held_bytes_max: self.limits.held_bytes_max,
            string_bytes_max: STRING_BYTES_MAX,
            key_bytes_max: self.limits.held_bytes_max,
            ..Limits::default()
        };
        let framing = if shape == Shape::Watch {
            Framing::Many
        } else {
            Framing::One
        };
        let rules = if plan.strips_rows {
            self.response_rules.without_row_objects(shape)
        } else {
            self.response_rules.rules(shape, &plan.scope)
        };
        let handler = ResponseHandler::new(plan.scope, shape);
        let rewriter = Rewriter::new(rules, framing, limits, handler);
        if shape == Shape::Watch {
            let settings = Arc::clone(&self.watches);
            return ReplyBody::streamed(watch::relay(upstream, rewriter, settings, admitted));
        }
        ReplyBody::streamed(Rewritten {
            upstream,
            rewriter,
            metrics: self.metrics.clone(),
            out: Output::contiguous(),
            ended: false,
            _admitted: admitted,
        })
    }

    /// A failure's body, mapped: a Status, or text as kube-apiserver's filters write it. It is held
    /// whole, since a message may quote all of what it refuses; a longer one than `heldBytesMax` is
    /// replaced by a short Status of the same code.
    async fn failure(
        &self,
        control_plane: &ControlPlane,
        status: StatusCode,
        headers: &HeaderMap,
        scope: Scope,
        beginning: Option<Beginning>,
        body: ResponseBody,
    ) -> Result<ReplyBody, Error> {
        let bad = |why: String| Error::Failed {
            control_plane: control_plane.name.clone(),
            code: status,
            why,
        };
        let max = self.limits.held_bytes_max;
        let whole = match Limited::new(body, max).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => return Err(bad(error.to_string())),
        };
        if !is_json(headers) {
            let text = String::from_utf8_lossy(&whole);
            return Ok(ReplyBody::whole(match text::to_local(&text, &scope) {
                Some(mapped) => mapped.into(),
                None => whole,
            }));
        }
        let rules = self.response_rules.rules(Shape::Status, &scope);
        let handler = ResponseHandler::refusal(scope, beginning);
        let mapped = map_whole(rules, Framing::Many, handler, max, whole);
        let mapped = mapped.map_err(|error| bad(error.to_string()))?;
        Ok(ReplyBody::whole(mapped))
    }

    /// What a read of one object answers, as the app cluster would see it.
    pub(super) fn object(&self, scope: &Scope, whole: Bytes) -> Result<Bytes, rewrite::Error> {
        let handler = ResponseHandler::new(scope.clone(), Shape::Object);
        let rules = self.response_rules.rules(Shape::Object, scope);
        let max = self.limits.held_bytes_max;
        map_whole(rules, Framing::One, handler, max, whole)
    }
}

fn map_whole(
    rules: Rules,
    framing: Framing,
    handler: ResponseHandler,
    max: usize,
    whole: Bytes,
) -> Result<Bytes, rewrite::Error> {
    Rewriter::new(rules, framing, Limits::whole(max), handler).whole(whole)
}

/// A body, if its client takes gzip perhaps in that, and with headers that say so if it is in that.
async fn packed(
    body: ReplyBody,
    may_pack: bool,
    headers: &mut HeaderMap,
) -> Result<ReplyBody, Broken> {
    if !may_pack {
        return Ok(body);
    }
    Ok(match compress::compress(body).await? {
        Encoded::Identity(body) => body,
        Encoded::Gzip(body) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            body
        }
    })
}

/// Puts warnings before those that are there.
fn warn_first(headers: &mut HeaderMap, mut warnings: Vec<HeaderValue>) {
    warnings.extend(headers.get_all(WARNING).iter().cloned());
    headers.remove(WARNING);
    for warning in warnings {
        headers.append(WARNING, warning);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case("application/json")
        })
}

fn headers(from: &HeaderMap, scope: &Scope) -> HeaderMap {
    let mut headers = from.clone();
    for name in DROPPED {
        headers.remove(name);
    }
    for warning in from.get_all(WARNING) {
        let told = match text::warning_to_local(warning.as_bytes(), scope) {
            // What can't be told in local terms is not told.
            Some(mapped) => HeaderValue::from_bytes(mapped.as_bytes()).ok(),
            None => Some(warning.clone()),
        };
        headers.extend(told.map(|warning| (WARNING, warning)));
    }
    headers
}
