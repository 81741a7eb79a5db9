//! Bodies towards the control plane and from it.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::task::coop;

use super::gunzip::{Gunzip, GunzipError, Step};
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

/// Why a response's body can't be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the control plane broke off: {0}")]
    BrokeOff(#[from] hyper::Error),
    #[error("the control plane's answer cannot be unpacked: {0}")]
    Gzip(#[from] GunzipError),
    #[error("the control plane answered in the encoding {0:?}, which was not asked for")]
    Encoding(String),
}

/// A response's body, unpacked. Its stream's place on the connection is free again when it has ended
/// or is dropped.
pub struct ResponseBody {
    received: Received,
    coding: Coding,
}

/// A body as it comes over the network.
struct Received {
    incoming: Incoming,
    place: Option<Place>,
}

/// How what is received becomes what was meant.
enum Coding {
    Identity,
    Gzip(Box<Gunzip>),
    /// Not known here, by its name.
    Unknown(String),
}

impl Coding {
    /// What Content-Encoding says, which counts whatever was asked for: a proxy between may pack, or
    /// not unpack, as it likes. `x-gzip` is gzip (RFC 9110, section 8.4.1.3).
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let text = texts.join(", ");
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(Box::new(Gunzip::new())),
            _ => Self::Unknown(text),
        }
    }
}

impl ResponseBody {
    /// The body of a response with these headers, of which those about its coding go.
    pub(super) fn new(incoming: Incoming, place: Place, headers: &mut HeaderMap) -> Self {
        let place = (!incoming.is_end_stream()).then_some(place);
        let received = Received { incoming, place };
        let coding = Coding::of(headers);
        headers.remove(CONTENT_ENCODING);
        if matches!(coding, Coding::Gzip(_)) {
            headers.remove(CONTENT_LENGTH);
        }
        leave_vary(headers);
        Self { received, coding }
    }

    /// # Errors
    /// No byte of it can be read, since its encoding is not known.
    pub fn readable(&self) -> Result<(), BodyError> {
        match &self.coding {
            Coding::Identity | Coding::Gzip(_) => Ok(()),
            Coding::Unknown(name) => Err(BodyError::Encoding(name.clone())),
        }
    }
}

/// Takes Accept-Encoding out of Vary: it is about ours, which no client of ours has a say in.
fn leave_vary(headers: &mut HeaderMap) {
    let is_ours = |name: &&str| name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str());
    let texts: Vec<String> = headers
        .get_all(VARY)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let names = || texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    if !names().any(|name| is_ours(&name)) {
        return;
    }
    let others: Vec<&str> = names().filter(|name| !is_ours(name)).collect();
    headers.remove(VARY);
    if let Ok(value) = HeaderValue::try_from(others.join(", "))
        && !value.is_empty()
    {
        headers.insert(VARY, value);
    }
}

impl Body for Received {
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
        polled.map_err(BodyError::BrokeOff)
    }
}

/// The next frame of what a packed body holds.
fn poll_unpacked(
    packed: &mut (impl Body<Data = Bytes, Error = BodyError> + Unpin),
    gunzip: &mut Gunzip,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    loop {
        // A few bytes become many without a wait for the network, and all else on this thread would
        // wait with them: so each step is paid for out of the task's budget.
        let budget = ready!(coop::poll_proceed(context));
        match gunzip.step()? {
            Step::Plain(bytes) => {
                budget.made_progress();
                if !bytes.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
            Step::Hungry => match ready!(Pin::new(&mut *packed).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => gunzip.feed(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    gunzip.finish()?;
                    return Poll::Ready(None);
                }
            },
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match &mut this.coding {
            Coding::Identity => Pin::new(&mut this.received).poll_frame(context),
            Coding::Gzip(gunzip) => poll_unpacked(&mut this.received, gunzip, context),
            Coding::Unknown(name) => Poll::Ready(Some(Err(BodyError::Encoding(name.clone())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.coding, Coding::Identity) && self.received.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.coding {
            Coding::Identity => self.received.incoming.size_hint(),
            Coding::Gzip(_) | Coding::Unknown(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::Full;

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    /// tokio gives a task 128 of what is paid here before it has to let others run.
    #[tokio::test]
    async fn a_bomb_lets_others_run() {
        const PLAIN_BYTES: usize = 9 << 20;
        let mut packed = Full::new(gzip(&vec![b' '; PLAIN_BYTES])).map_err(|never| match never {});
        let mut gunzip = Gunzip::new();
        let (mut all, mut most, mut is_over) = (0, 0, false);
        while !is_over {
            let mut at_once = 0;
            poll_fn(|context| {
                at_once = 0;
                loop {
                    match poll_unpacked(&mut packed, &mut gunzip, context) {
                        Poll::Ready(Some(frame)) => {
                            at_once += frame.unwrap().into_data().unwrap().len();
                        }
                        Poll::Ready(None) => {
                            is_over = true;
                            return Poll::Ready(());
                        }
                        Poll::Pending => return Poll::Ready(()),
                    }
                }
            })
            .await;
            (all, most) = (all + at_once, most.max(at_once));
            tokio::task::yield_now().await;
        }
        assert_eq!(all, PLAIN_BYTES);
        assert!(most <= 4 << 20, "{most} bytes at once");
    }

    #[test]
    fn codings_are_known_by_all_their_names() {
        let coding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            match Coding::of(&headers) {
                Coding::Identity => "identity".to_owned(),
                Coding::Gzip(_) => "gzip".to_owned(),
                Coding::Unknown(name) => format!("not {name}"),
            }
        };
        for (values, wanted) in [
            (&[] as &[_], "identity"),
            (&["identity"], "identity"),
            (&["gzip"], "gzip"),
            (&["X-GZip"], "gzip"),
            (&["br"], "not br"),
            (&["gzip, gzip"], "not gzip, gzip"),
            (&["gzip", "br"], "not gzip, br"),
        ] {
            assert_eq!(coding(values), wanted, "{values:?}");
        }
    }

    #[test]
    fn vary_keeps_what_is_not_about_the_encoding() {
        for (before, after) in [
            (&["Accept-Encoding"] as &[_], None),
            (&["Origin"], Some("Origin")),
            (&["accept-encoding, Origin"], Some("Origin")),
            (
                &["Origin", "Accept-Encoding,Accept"],
                Some("Origin, Accept"),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(VARY, HeaderValue::from_static(value));
            }
            leave_vary(&mut headers);
            let mut left = headers.get_all(VARY).iter();
            assert_eq!(left.next().map(|value| value.to_str().unwrap()), after);
            assert_eq!(left.next(), None);
        }
    }
}
