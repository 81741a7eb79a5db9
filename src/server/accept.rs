//! The accept loop of every listener. It limits the number of connections and sets TCP options. It does
//! not know TLS or HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed accept, so that the loop does not spin while the process has no free file
/// descriptor.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Time without an acknowledgement after which the kernel drops a connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(60);

/// A listener, its limit of connections, and the tasks that serve them.
pub struct AcceptLoop {
    pub listener: TcpListener,
    /// Number of concurrent connections. Further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// Tracks the task of each connection.
    pub tasks: TaskTracker,
    /// Ends the loop. Open connections stay.
    pub stop: CancellationToken,
}

impl AcceptLoop {
    /// Accepts until `stop` is cancelled. Runs `serve` for every connection in a separate task.
    pub async fn run<F>(self, serve: impl Fn(TcpStream) -> F + Clone + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let permits = Arc::new(Semaphore::new(self.max_connections));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = async {
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    (permit, self.listener.accept().await)
                } => accepted,
            };
            let (permit, stream) = match accepted {
                (Ok(permit), Ok((stream, _address))) => (permit, set_options(stream)),
                (Ok(permit), Err(error)) => (permit, Err(error)),
                // The semaphore is never closed.
                (Err(_closed), _) => return,
            };
            match stream {
                Ok(stream) => {
                    let serve = serve.clone();
                    // Called within the task, because a future reserves memory twice for a future that is
                    // moved into it.
                    self.tasks.spawn(async move {
                        serve(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }
}

fn set_options(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    Ok(stream)
}
