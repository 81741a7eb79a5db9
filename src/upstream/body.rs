//! Bodies towards the control plane and from it.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::pool::Place;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A request's body.
#[derive(Default)]
pub enum RequestBody {
    #[default]
    Empty,
    /// Can be sent again.
    Full(Bytes),
    /// Can be sent once.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl RequestBody {
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: StdError + Send + Sync + 'static,
    {
        Self::Stream(
            body.map_err(|error| Box::new(error) as BoxError)
                .boxed_unsync(),
        )
    }

    /// The same body once more, if it can be sent again.
    pub(super) fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Full(bytes) => Some(Self::Full(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            this @ Self::Full(_) => match std::mem::replace(this, Self::Empty) {
                Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A response's body broke off.
#[derive(Debug, thiserror::Error)]
#[error("the control plane broke off: {0}")]
pub struct BodyError(#[from] hyper::Error);

/// A response's body. Its stream's place on the connection is free again when it has ended or is
/// dropped.
pub struct ResponseBody {
    incoming: Incoming,
    place: Option<Place>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, place: Place) -> Self {
        let place = (!incoming.is_end_stream()).then_some(place);
        Self { incoming, place }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.place = None;
        }
        polled.map_err(BodyError)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
