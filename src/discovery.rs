use bytes::Bytes;
#[derive(Clone)] pub struct Catalog; pub enum Lookup { Found(Resource), NotExposed, Unseen(String) }
pub struct Resource { pub kind: String, pub control_plane: String, pub subresources: std::collections::BTreeSet<String>, pub read_only: bool }
impl Catalog { pub fn resource(&self, _:&str,_:&str,_:&str)->Lookup{todo!()} pub fn ready(&self)->Result<(),String>{Ok(())} }
pub struct Asked<'a> { pub path: &'a str, pub query: &'a str, pub accept: Option<&'a str>, pub if_none_match: Option<&'a str> }
pub enum Answer { Document { status: http::StatusCode, headers: http::HeaderMap, body: Bytes }, NotAcceptable(&'static str), NotFound, Unseen(String) }
pub fn answer(_:&Catalog,_:&Asked<'_>)->Answer{todo!()}
