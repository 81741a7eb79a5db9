//! Connections: accepted, bounded in number, shaken hands with.
//!
//! In flows a bound listener, out come TLS streams handed to `serve`. Knows nothing of HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::corked::Corked;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time that a client has for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Rest after an accept that failed for want of resources, lest the loop spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After this long without an acknowledgement a connection is given up by the kernel.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Accepts until `stop`; every connection is handed to `serve` in a task of `tasks`.
///
/// Past `connections_max` new ones wait in the kernel's backlog.
pub async fn run<F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    connections_max: usize,
    tasks: TaskTracker,
    stop: CancellationToken,
    serve: impl Fn(TlsStream<Corked<TcpStream>>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        let (Ok(place), accepted) = accepted else {
            return;
        };
        let stream = match accepted.and_then(|(stream, _)| tune(stream)) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        tasks.spawn(async move {
            let stream = Corked::new(stream);
            let accept = stream.turns(acceptor.accept(stream.clone()));
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await {
                Ok(Ok(tls)) => stream.turns(serve(tls)).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
            drop(place);
        });
    }
}

fn tune(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    Ok(stream)
}
