//! The data model: channels, posts, rich text, media files and feed pages. Plain data without I/O.

pub mod album;
pub mod archived_post;
pub mod article;
pub mod channel;
pub mod media_file;
pub mod paging;
pub mod post;
pub mod rich_text;
pub mod signature;
