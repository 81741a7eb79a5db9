//! The control plane behind the proxies: serves discovery, a LIST, a GET and watches from memory.
//!
//! It allows as many streams as kube-apiserver. Apart from that it is as fast as possible, so that the proxy
//! dominates the measurement.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use claimgate_benches::Claims;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Interval;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::identities::Identities;

/// The paths that clients request. The control plane returns the same objects for every namespace.
pub const CLAIMS: &str = "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters";
pub const CLAIM: &str =
    "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/cluster-00000";

/// The same in the group of the other control plane.
pub const OTHER_CLAIMS: &str =
    "/apis/other.example.org/v1alpha1/namespaces/default/kubernetesclusters";
pub const OTHER_CLAIM: &str =
    "/apis/other.example.org/v1alpha1/namespaces/default/kubernetesclusters/cluster-00000";

/// The groups of the two control planes.
pub const GROUP: &str = "k8s.starter.org";
pub const OTHER_GROUP: &str = "other.example.org";

/// How a control plane handles requests for claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Behavior {
    Healthy,
    /// Accepts requests and never answers.
    Stalling,
    /// Answers after [`SLOW`].
    Slow,
    /// Sends lists that do not end, [`FLOOD_BYTES`] every [`FLOOD_EVERY`] each.
    Flooding,
}

const SLOW: Duration = Duration::from_secs(1);
const FLOOD_BYTES: usize = 64 << 10;
const FLOOD_EVERY: Duration = Duration::from_millis(5);

/// The namespace of the claims on the control plane.
pub const REMOTE: &str = "app-ns-1";

/// The namespace of the claims in the shared mapping (`claimgate_benches::shared_mapping`).
pub const SHARED: &str = "team-a";

/// Streams per connection, as many as kube-apiserver allows (`apiserver/pkg/server/secure_serving.go`).
pub const STREAMS_MAX: u32 = 100;

/// Size of a stream's send buffer in bytes.
const SEND_BUFFER_BYTES_MAX: usize = 4 << 20;

const DISCOVERY: &str = concat!(
    r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"#,
    r#""metadata":{"name":"k8s.starter.org"},"versions":[{"version":"v1alpha1","freshness":"Current","#,
    r#""resources":[{"resource":"kubernetesclusters","responseKind":{"group":"k8s.starter.org","#,
    r#""version":"v1alpha1","kind":"KubernetesCluster"},"scope":"Namespaced","#,
    r#""singularResource":"kubernetescluster","categories":["claim"],"#,
    r#""verbs":["get","list","watch"]}]}]}]}"#
);
const ENDLESS_LIST: &str = concat!(
    r#"{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesClusterList","#,
    r#""metadata":{"resourceVersion":"1"},"items":["#
);
const DISCOVERY_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const OPENAPI_V2: &str = r#"{"swagger":"2.0","info":{},"paths":{},"definitions":{}}"#;
const OPENAPI_V3: &str = r#"{"paths":{}}"#;
const JSON: &str = "application/json";

/// A running control plane.
pub struct Backend {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    table: Objects,
    shared: Objects,
    frame_bytes: usize,
    discovery: Bytes,
    behavior: Mutex<Behavior>,
    watches: Mutex<Vec<Events>>,
}

/// The objects of one mapping.
struct Objects {
    list: Bytes,
    claim: Bytes,
}

/// Sends the events of one watch. It is closed when the client disconnects.
pub type Events = mpsc::UnboundedSender<Bytes>;

impl Backend {
    /// Listens on a free port and serves a group until this process ends. A LIST is sent in DATA frames of
    /// `frame_bytes`, or in frames as large as the proxy accepts.
    pub async fn start(
        identities: &Identities,
        group: &str,
        frame_bytes: Option<usize>,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            table: Objects {
                list: Claims::default().list().into(),
                claim: claim(false).into(),
            },
            shared: Objects {
                list: Claims::default().shared_list().into(),
                claim: claim(true).into(),
            },
            frame_bytes: frame_bytes.unwrap_or(usize::MAX),
            discovery: DISCOVERY.replace(GROUP, group).into(),
            behavior: Mutex::new(Behavior::Healthy),
            watches: Mutex::default(),
        });
        let acceptor = TlsAcceptor::from(identities.server()?);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { address, state })
    }

    /// Changes how further requests for claims are handled.
    pub fn behave(&self, behavior: Behavior) {
        let mut current = self.state.behavior.lock();
        **current.as_mut().unwrap_or_else(PoisonError::get_mut) = behavior;
    }

    /// Returns the open watches, oldest first.
    pub fn watches(&self) -> Vec<Events> {
        let mut watches = self.state.watches();
        watches.retain(|events| !events.is_closed());
        watches.clone()
    }
}

/// Returns one claim, as kube-apiserver returns it for a GET.
pub fn claim(is_shared: bool) -> Vec<u8> {
    let one = Claims {
        count: 1,
        ..Claims::default()
    };
    let list = match is_shared {
        true => one.shared_list(),
        false => one.list(),
    };
    let list: serde_json::Value = serde_json::from_slice(&list).expect("a list");
    list["items"][0].to_string().into_bytes()
}

impl State {
    fn watches(&self) -> std::sync::MutexGuard<'_, Vec<Events>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<ReplyBody> {
        let whole = |text: &'static str| ReplyBody::Whole(text.into());
        let is_watch = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch="));
        let path = request.uri().path();
        let (kind, body) = match path {
            "/apis" => (DISCOVERY_TYPE, ReplyBody::Whole(self.discovery.clone())),
            "/openapi/v2" => (JSON, whole(OPENAPI_V2)),
            "/openapi/v3" => (JSON, whole(OPENAPI_V3)),
            "/readyz" => ("text/plain", whole("ok")),
            _ if path.ends_with("/kubernetesclusters") && is_watch => (JSON, self.watch()),
            _ if path.ends_with("/kubernetesclusters") => (JSON, self.list(path)),
            _ if path.contains("/kubernetesclusters/") => {
                (JSON, ReplyBody::Whole(self.objects(path).claim.clone()))
            }
            _ => {
                let mut response = Response::new(whole(""));
                *response.status_mut() = StatusCode::NOT_FOUND;
                return response;
            }
        };
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        response
    }

    fn behavior(&self) -> Behavior {
        *self.behavior.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the behavior requires.
    async fn wait(&self, path: &str) {
        match self.behavior() {
            Behavior::Stalling if path.contains("/kubernetesclusters") => pending().await,
            Behavior::Slow if path.contains("/kubernetesclusters") => {
                tokio::time::sleep(SLOW).await;
            }
            _ => {}
        }
    }

    fn objects(&self, path: &str) -> &Objects {
        match path.contains(&format!("/namespaces/{SHARED}/")) {
            true => &self.shared,
            false => &self.table,
        }
    }

    fn list(&self, path: &str) -> ReplyBody {
        if self.behavior() == Behavior::Flooding {
            return ReplyBody::endless(&self.table.claim);
        }
        ReplyBody::Pieces(self.objects(path).list.clone(), self.frame_bytes)
    }

    fn watch(&self) -> ReplyBody {
        let (events, receiver) = mpsc::unbounded_channel();
        self.watches().push(events);
        ReplyBody::Watch(receiver)
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    state: Arc<State>,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    let service = service_fn(|request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            state.wait(request.uri().path()).await;
            Ok::<_, Infallible>(state.respond(&request))
        }
    });
    Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(tls), service)
        .await?;
    Ok(())
}

/// A response body.
enum ReplyBody {
    Whole(Bytes),
    /// The remaining bytes, and the size of a frame in bytes.
    Pieces(Bytes, usize),
    /// A list without end: its beginning, then the same items again and again.
    Endless {
        next: Bytes,
        items: Bytes,
        ticks: Interval,
    },
    Watch(mpsc::UnboundedReceiver<Bytes>),
}

impl ReplyBody {
    fn endless(claim: &Bytes) -> Self {
        let item = [&claim[..], b","].concat();
        Self::Endless {
            next: ENDLESS_LIST.into(),
            items: item.repeat(FLOOD_BYTES / item.len()).into(),
            ticks: tokio::time::interval(FLOOD_EVERY),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(left) => Some(std::mem::take(left)),
            Self::Pieces(left, most) => Some(left.split_to(left.len().min(*most))),
            Self::Endless { next, items, ticks } => {
                ready!(ticks.poll_tick(context));
                Some(std::mem::replace(next, items.clone()))
            }
            Self::Watch(events) => ready!(events.poll_recv(context)),
        };
        let data = data.filter(|data| !data.is_empty());
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(left) | Self::Pieces(left, _) => left.is_empty(),
            Self::Endless { .. } | Self::Watch(_) => false,
        }
    }
}
