//! Outgoing connections: the HTTP client that Telegram is asked with, restricted to public addresses.

pub mod http_client;
mod resolver;
pub mod retry_after;
pub mod ssrf;
