//! Pictures, videos and recordings under addresses of the service's own, which stay good when Telegram's expire.
//!
//! An address is signed and names the post, not Telegram's file. Where the file is at the moment the archive knows, or
//! else the page of the post; from there it is passed on to the reader as it comes.

pub mod address;
mod client;
mod hosts;
mod keys;
mod kind;
mod range;

pub use address::{Links, MediaKeys};
pub use client::{Kind, MediaClient, MediaError, Opened};
pub use hosts::{MediaHosts, MediaHostsError};
pub use keys::{in_folder, of_this_run};
pub use range::Range;
