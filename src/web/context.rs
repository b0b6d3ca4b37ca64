//! The facts about a request that the middleware passes to its handler.

use std::net::IpAddr;

use super::base_url::BaseUrl;
use crate::channels::Visitor;

/// Built by [`middleware`](super::middleware), after the token was removed from the request.
#[derive(Clone, Debug)]
pub(super) struct RequestContext {
    /// The client's IP address, behind trusted proxies.
    pub(super) client: IpAddr,
    /// The client and its program, as hashes.
    pub(super) visitor: Visitor,
    /// The URL under which the client reaches the service.
    pub(super) base_url: BaseUrl,
    /// The query as the client sent it, including the token if the service has any.
    pub(super) query: Option<String>,
    /// The token in the path, if the service needs one and it is not an administrator's.
    pub(super) path_token: Option<String>,
    /// The client has shown an administrator's token.
    pub(super) is_admin: bool,
}
