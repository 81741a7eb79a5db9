//! Sends watches by WebSocket (RFC 6455), with one message for each event.
//!
//! A session has a connection that was upgraded from HTTP/1.1, and the body of an ordinary watch. The
//! proxy provides the watch with its buffer, limits and metrics. Messages from the client other than pings
//! and close frames are read and ignored, as in kube-apiserver
//! (`apiserver/pkg/endpoints/handlers/watch.go`, `HandleWS`).

pub mod handshake;

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_io_timeout::TimeoutStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::body::events::{Delimiter, Events};
use crate::body::{BrokenBody, ReplyBody};

/// Largest size in bytes of a message from the client, which is buffered whole before it is ignored.
const CLIENT_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Size in bytes of the read buffer. It lives as long as the watch, and clients send little.
const READ_BUFFER_BYTES: usize = 1 << 10;

/// The first byte of an unfragmented close frame (RFC 6455, section 5.2).
const CLOSE_FRAME: u8 = 0x88;

/// Time for sending the close frame and for reading from the client after it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits of one watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchLimits {
    /// Largest size in bytes of one event. An event is buffered until it is complete, and a second time while
    /// it is written.
    pub event_bytes_max: usize,
    /// Time after which a write fails if the client reads nothing.
    pub write_timeout: Duration,
}

/// A connection whose handshake was accepted, and the watch to send on it. Dropping the session ends the
/// watch.
pub struct WatchSession {
    pub upgrade: OnUpgrade,
    pub events: ReplyBody,
    pub delimiter: Delimiter,
    pub limits: WatchLimits,
}

// Boxed, because the timeout's timer has to be pinned.
type Socket = WebSocketStream<Pin<Box<TimeoutStream<TokioIo<Upgraded>>>>>;

/// The reason why a session ends.
enum WatchEnd {
    /// The control plane ended the watch between two events.
    Complete,
    /// The watch was interrupted within an event.
    Broken(BrokenBody),
    /// The client closed the WebSocket.
    Closed,
    /// The connection failed, or the client violated the protocol.
    ClientFailed(tungstenite::Error),
}

impl WatchSession {
    /// Sends events until either side ends.
    pub async fn run(self) {
        let upgraded = match self.upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "the upgrade to a WebSocket failed");
                return;
            }
        };
        let mut socket = open(upgraded, &self.limits).await;
        let events = Events::new(self.events, self.delimiter, self.limits.event_bytes_max);
        let code = match send_events(&mut socket, events, self.delimiter).await {
            WatchEnd::Complete => CloseCode::Normal,
            WatchEnd::Closed => {
                // The client is closing the connection anyway, so a failure does not matter.
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, answer_close(&mut socket)).await;
                return;
            }
            WatchEnd::Broken(broken) => {
                tracing::warn!(error = %broken, "a watch by WebSocket was aborted");
                CloseCode::Error
            }
            WatchEnd::ClientFailed(error) => {
                tracing::debug!(%error, "the client of a watch by WebSocket failed");
                let Some(code) = close_code(&error) else {
                    return;
                };
                code
            }
        };
        // A failure means that the client has disconnected.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close(&mut socket, code)).await;
    }
}

async fn open(upgraded: Upgraded, limits: &WatchLimits) -> Socket {
    let mut stream = TimeoutStream::new(TokioIo::new(upgraded));
    stream.set_write_timeout(Some(limits.write_timeout));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX));
    WebSocketStream::from_raw_socket(Box::pin(stream), Role::Server, Some(config)).await
}

/// Sends events until either side ends. Consumes `events`, so the control plane's watch has ended when
/// this returns.
async fn send_events(socket: &mut Socket, mut events: Events, delimiter: Delimiter) -> WatchEnd {
    loop {
        let event = tokio::select! {
            // The socket answers pings by itself.
            message = socket.next() => match message {
                Some(Ok(message)) if !message.is_close() => continue,
                Some(Err(error)) => return WatchEnd::ClientFailed(error),
                Some(Ok(_)) | None => return WatchEnd::Closed,
            },
            event = events.next() => event,
        };
        let message = event.map(|event| event.and_then(|event| message(event, delimiter)));
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(broken)) => return WatchEnd::Broken(broken),
            None => return WatchEnd::Complete,
        };
        if let Err(error) = socket.send(message).await {
            return WatchEnd::ClientFailed(error);
        }
    }
}

/// Returns a text message for JSON and a binary one for protobuf, whatever the subprotocol
/// (`EncodesAsText` in `apimachinery/pkg/runtime/serializer/codec_factory.go`). Protobuf events lose
/// their length prefix, because a message has its own.
fn message(event: Bytes, delimiter: Delimiter) -> Result<Message, BrokenBody> {
    if delimiter == Delimiter::Length {
        return Ok(Message::Binary(event));
    }
    let text = Utf8Bytes::try_from(event);
    text.map(Message::Text)
        .map_err(|_| BrokenBody("an event is not UTF-8".into()))
}

/// Returns the close code for a client's error (RFC 6455, section 7.4.1), or `None` if the connection is
/// closed.
fn close_code(error: &tungstenite::Error) -> Option<CloseCode> {
    match error {
        tungstenite::Error::Capacity(_) => Some(CloseCode::Size),
        tungstenite::Error::Protocol(_) => Some(CloseCode::Protocol),
        tungstenite::Error::Utf8(_) => Some(CloseCode::Invalid),
        _ => None,
    }
}

/// Answers a client's close with code 1000, whatever the client's code, as kube-apiserver does
/// (golang.org/x/net/websocket, `Conn.Close`). Bypasses the library, which would return the client's code.
async fn answer_close(socket: &mut Socket) -> std::io::Result<()> {
    let [high, low] = u16::from(CloseCode::Normal).to_be_bytes();
    let stream = socket.get_mut();
    stream.write_all(&[CLOSE_FRAME, 2, high, low]).await?;
    stream.shutdown().await
}

/// Sends a close frame and closes the sending side at once, as kube-apiserver does. Then reads until the
/// client closes: unread bytes would make the kernel reset the connection, which discards data in flight.
async fn close(socket: &mut Socket, code: CloseCode) -> Result<(), tungstenite::Error> {
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    };
    let sent = socket.close(Some(frame)).await;
    let stream = socket.get_mut();
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    sent
}
