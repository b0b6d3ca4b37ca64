//! Where a feed page begins.

use std::fmt;
use std::str::FromStr;

use crate::model::channel::ChannelName;
use crate::model::post::PostId;

/// A post below which a feed page begins, as in `before=1234`, or `before=durov/1234` for several channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The channel of the post; `None` if the feed has only one.
    pub channel: Option<ChannelName>,
    /// The post.
    pub id: PostId,
}

impl From<PostId> for Cursor {
    fn from(id: PostId) -> Self {
        Self { channel: None, id }
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (channel, id) = match text.split_once('/') {
            Some((name, id)) => (Some(ChannelName::new(name).ok_or(())?), id),
            None => (None, text),
        };
        let id = id.parse().ok().and_then(PostId::new).ok_or(())?;
        Ok(Self { channel, id })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channel) = &self.channel {
            write!(f, "{}/", channel.as_str().to_ascii_lowercase())?;
        }
        write!(f, "{}", self.id)
    }
}
