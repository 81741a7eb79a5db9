//! Which APIs there are: learned from the control planes, told to the aggregator and to clients
//! from memory.
//!
//! [`refresh()`] keeps the [`Catalog`] current in the background; [`answer`] and the router read it.
//! Through an outage of a control plane it stays as it is, so that the app cluster's discovery stays
//! whole. Of what a control plane serves only the exposed resources are in it.

mod absent;
mod catalog;
mod document;
mod listing;
mod negotiate;
mod refresh;
mod render;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub use self::catalog::{Catalog, Lookup, Resource};
pub use self::document::{ExposedApi, Exposure};
use self::listing::Listing;
pub(crate) use self::negotiate::{Media, negotiate};
pub use self::refresh::{REFRESH_EVERY, refresh};
pub(crate) use self::render::{Document, Rendered};
use crate::accept::SERIALIZED;
use crate::status;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub path: &'a str,
    pub query: &'a str,
    pub accept: Option<&'a str>,
    /// In what a document without forms of its own is wanted, such as an APIResourceList or a Status.
    pub media: Option<status::Media>,
    pub if_none_match: Option<&'a str>,
}

/// An answer out of memory.
#[derive(Debug)]
pub enum Answer {
    Document {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    /// The media types that there are.
    NotAcceptable(&'static str),
    NotFound,
    /// The control plane that has to be seen first.
    Unseen(String),
}

impl Answer {
    /// A document in one of its forms, or 304 to who has it already.
    pub(crate) fn document(document: &Document, media: &'static str, asked: &Asked<'_>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::ETAG, document.etag.clone());
        if asked
            .if_none_match
            .is_some_and(|known| document.is_in(known))
        {
            // Without a Content-Type, which caches would take over into what they keep (RFC 9111,
            // section 3.2).
            return Self::Document {
                status: StatusCode::NOT_MODIFIED,
                headers,
                body: Bytes::new(),
            };
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        Self::Document {
            status: StatusCode::OK,
            headers,
            body: document.body.clone(),
        }
    }
}

/// Answers `/apis`, `/apis/G` and `/apis/G/V`.
pub fn answer(catalog: &Catalog, asked: &Asked<'_>) -> Answer {
    let rendered = catalog.rendered();
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    if let ["apis", group, version] = *parts.as_slice() {
        let listing = rendered
            .version
            .get(&(group.to_owned(), version.to_owned()));
        return match (listing, catalog.unseen_of(group, Some(version))) {
            (Some(listing), _) => listed(listing, asked),
            (None, Some(unseen)) => Answer::Unseen(unseen),
            (None, None) => Answer::NotFound,
        };
    }
    let media = match parts.as_slice() {
        ["apis"] => negotiate(asked.accept, &[Media::V2, Media::V2Beta1, Media::Json]),
        _ => negotiate(asked.accept, &[Media::Json]),
    };
    let Some(media) = media else {
        return Answer::NotAcceptable("application/json");
    };
    let document = match parts.as_slice() {
        ["apis"] => {
            if let Some(unseen) = catalog.unseen() {
                return Answer::Unseen(unseen);
            }
            match media {
                Media::V2 => Some(&rendered.v2),
                Media::V2Beta1 => Some(&rendered.v2beta1),
                Media::Json => Some(&rendered.groups),
            }
        }
        ["apis", group] => rendered.group.get(*group),
        _ => None,
    };
    match (document, parts.get(1)) {
        (Some(document), _) => Answer::document(document, media.content_type(), asked),
        (None, Some(group)) => match catalog.unseen_of(group, None) {
            Some(unseen) => Answer::Unseen(unseen),
            None => Answer::NotFound,
        },
        (None, None) => Answer::NotFound,
    }
}

/// An APIResourceList, which has no ETag (`apiserver/pkg/endpoints/discovery/version.go`).
fn listed(listing: &Listing, asked: &Asked<'_>) -> Answer {
    let written = asked
        .media
        .and_then(|media| Some((media, listing.written(media)?)));
    let Some((media, body)) = written else {
        return Answer::NotAcceptable(SERIALIZED);
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media.serializer.content_type());
    Answer::Document {
        status: StatusCode::OK,
        headers,
        body,
    }
}
