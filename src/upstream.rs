use bytes::Bytes; use std::pin::Pin; use std::task::*; use http_body::Frame;
pub mod credentials { pub struct Credentials; impl Credentials { pub fn authorize(&self, _: &mut http::HeaderMap) {} } }
#[derive(Clone, Copy)] pub enum Lane { Requests, Watches }
#[derive(Clone)] pub struct Upstream;
pub enum RequestBody { Empty, Full(Bytes), Stream }
impl RequestBody { pub fn stream<B: http_body::Body<Data=Bytes>>(_: B) -> Self { Self::Stream } }
pub struct ResponseBody; #[derive(Debug, thiserror::Error)] #[error("x")] pub struct BodyError;
impl http_body::Body for ResponseBody { type Data=Bytes; type Error=BodyError; fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> { todo!() } }
#[derive(Debug, thiserror::Error)] #[error("x")] pub struct Error; pub enum Outcome { NotProcessed, Unknown }
impl Error { pub fn reason(&self)->&'static str{""} pub fn outcome(&self)->Outcome{todo!()} }
impl Upstream { pub async fn send(&self, _l: Lane, _r: http::Request<RequestBody>) -> Result<http::Response<ResponseBody>, Error> { todo!() } }
