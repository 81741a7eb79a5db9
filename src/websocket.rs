//! Watches by WebSocket (RFC 6455): one event a message.
//!
//! In flow a connection that was taken over from HTTP/1.1 and the body of an ordinary watch, out go
//! messages, until either side ends. Towards the control plane it is a watch as any other, with its
//! buffer, bounds and figures; nothing here knows how its events come to be. What a client sends,
//! but for its close and its pings, is read and forgotten, as kube-apiserver does
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
use crate::body::{Broken, ReplyBody};

/// Bytes of a message from the client, which is held until it is whole and then forgotten.
const CLIENT_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Bytes that are read at once from the client, who has little to say. They are kept for as long as
/// the watch lasts.
const READ_BUFFER_BYTES: usize = 1 << 10;

/// The first byte of a frame that is whole and a close (RFC 6455, section 5.2).
const CLOSE_FRAME: u8 = 0x88;

/// Time that the client has to take the close frame, and in which it is still read from.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What one watch may use.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of one event, which is held until it is whole, and once more while it is written.
    pub event_bytes_max: usize,
    /// Time for which a client may take nothing at all.
    pub stall_max: Duration,
}

/// A connection on which the handshake's answer is on its way, and what is to be sent on it. The
/// watch ends when this is dropped.
pub struct Session {
    pub upgrade: OnUpgrade,
    pub events: ReplyBody,
    pub delimiter: Delimiter,
    pub bounds: Bounds,
}

// Boxed since it has to be pinned, for its timer.
type Socket = WebSocketStream<Pin<Box<TimeoutStream<TokioIo<Upgraded>>>>>;

/// Why no more events are sent.
enum End {
    /// The control plane's watch ended between two events.
    Watch,
    Broken(Broken),
    /// The client closed.
    Closed,
    /// It is gone, or does not keep to the protocol.
    Client(tungstenite::Error),
}

impl Session {
    /// Sends events until either side ends.
    pub async fn run(self) {
        let upgraded = match self.upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%error, "a connection did not become a WebSocket");
                return;
            }
        };
        let mut socket = open(upgraded, &self.bounds).await;
        let events = Events::new(self.events, self.delimiter, self.bounds.event_bytes_max);
        let code = match send(&mut socket, events, self.delimiter).await {
            End::Watch => CloseCode::Normal,
            End::Closed => {
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, answer_close(&mut socket)).await;
                return;
            }
            End::Broken(broken) => {
                tracing::warn!(error = %broken, "a watch by WebSocket is broken off");
                CloseCode::Error
            }
            End::Client(error) => {
                tracing::debug!(%error, "a watch by WebSocket ends with its client");
                let Some(code) = code(&error) else { return };
                code
            }
        };
        // What fails here fails for a client that is gone.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close(&mut socket, code)).await;
    }
}

async fn open(upgraded: Upgraded, bounds: &Bounds) -> Socket {
    let mut stream = TimeoutStream::new(TokioIo::new(upgraded));
    stream.set_write_timeout(Some(bounds.stall_max));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX));
    WebSocketStream::from_raw_socket(Box::pin(stream), Role::Server, Some(config)).await
}

/// The watch has ended towards the control plane too once this returns.
async fn send(socket: &mut Socket, mut events: Events, delimiter: Delimiter) -> End {
    loop {
        let event = tokio::select! {
            // It answers pings by itself.
            message = socket.next() => match message {
                Some(Ok(message)) if !message.is_close() => continue,
                Some(Err(error)) => return End::Client(error),
                Some(Ok(_)) | None => return End::Closed,
            },
            event = events.next() => event,
        };
        let message = event.map(|event| event.and_then(|event| message(event, delimiter)));
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(broken)) => return End::Broken(broken),
            None => return End::Watch,
        };
        if let Err(error) = socket.send(message).await {
            return End::Client(error);
        }
    }
}

/// JSON goes out as text and protobuf not, whatever the subprotocol (`EncodesAsText` of its serializer,
/// `apimachinery/pkg/runtime/serializer/codec_factory.go`). A message needs no length before it.
fn message(event: Bytes, delimiter: Delimiter) -> Result<Message, Broken> {
    if delimiter == Delimiter::Length {
        return Ok(Message::Binary(event));
    }
    let text = Utf8Bytes::try_from(event);
    text.map(Message::Text)
        .map_err(|_| Broken("an event is no UTF-8".into()))
}

/// What the client is told of its error (RFC 6455, section 7.4.1), if there is anybody to tell.
fn code(error: &tungstenite::Error) -> Option<CloseCode> {
    match error {
        tungstenite::Error::Capacity(_) => Some(CloseCode::Size),
        tungstenite::Error::Protocol(_) => Some(CloseCode::Protocol),
        tungstenite::Error::Utf8(_) => Some(CloseCode::Invalid),
        _ => None,
    }
}

/// Answers a client's close as kube-apiserver does, whatever code it had (golang.org/x/net/websocket,
/// `Conn.Close`), past the library, which would send the client's own back with its next step.
async fn answer_close(socket: &mut Socket) -> std::io::Result<()> {
    let [high, low] = u16::from(CloseCode::Normal).to_be_bytes();
    let stream = socket.get_mut();
    stream.write_all(&[CLOSE_FRAME, 2, high, low]).await?;
    stream.shutdown().await
}

/// Closes the connection towards the client at once, as kube-apiserver does, but still reads from it for
/// a while, lest what is under way to it be lost with the reset that answers what it still sends.
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
