//! The body of a client's request. It fails if the client stops sending, so that such a request does not keep its permit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

/// The reason why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientBodyError {
    #[error(transparent)]
    Interrupted(#[from] hyper::Error),
    #[error("the client sent no data of the request body for {} s", .0.as_secs())]
    Stalled(Duration),
}

/// A request body as it arrives.
pub(super) struct ClientBody<B = Incoming> {
    incoming: B,
    /// Maximum time during which the client may send no data.
    limit: Duration,
    /// The time when the current wait for the client ends.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> ClientBody<B> {
    pub(super) fn new(incoming: B, limit: Duration) -> Self {
        Self {
            incoming,
            limit,
            deadline: None,
        }
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    ClientBodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            this.deadline = None;
            return Poll::Ready(frame.map(|frame| Ok(frame?)));
        }
        let sleep = || Box::pin(tokio::time::sleep(this.limit));
        let deadline = this.deadline.get_or_insert_with(sleep);
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(ClientBodyError::Stalled(this.limit))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Channel};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn body_fails_only_if_nothing_arrives_for_the_limit() {
        const LIMIT: Duration = Duration::from_secs(30);
        let (mut sender, channel) = Channel::<Bytes, hyper::Error>::new(1);
        let mut body = ClientBody::new(channel, LIMIT);
        let client = async {
            for _ in 0..3 {
                tokio::time::sleep(LIMIT * 2 / 3).await;
                sender.send_data(Bytes::from_static(b"x")).await.unwrap();
            }
        };
        let server = async {
            for _ in 0..3 {
                body.frame().await.unwrap().unwrap();
            }
        };
        tokio::join!(client, server);
        let begin = Instant::now();
        let failed = body.frame().await.unwrap();
        assert!(matches!(failed, Err(ClientBodyError::Stalled(LIMIT))));
        assert_eq!(begin.elapsed(), LIMIT);
    }
}
