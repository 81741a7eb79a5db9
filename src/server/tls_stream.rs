//! The server side of a TLS connection whose writes are coalesced.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::write_coalescing::CoalescedStream;

/// Time within which a client must complete its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS stream that writes only within [`CoalescedStream::coalesce`].
pub(super) type ServerStream = TlsStream<CoalescedStream<TcpStream>>;

/// Performs the TLS handshake on a TCP stream and runs `serve` on the TLS stream. A failed handshake is
/// logged and closes the connection.
pub(super) async fn serve<F>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    serve: impl FnOnce(ServerStream) -> F,
) where
    F: Future<Output = ()>,
{
    let stream = CoalescedStream::new(stream);
    let handshake = stream.coalesce(acceptor.accept(stream.clone()));
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(tls)) => stream.coalesce(serve(tls)).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_elapsed) => tracing::debug!("a TLS handshake timed out"),
    }
}
