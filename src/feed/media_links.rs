//! The URLs of a post's media files, as its feed entry contains them.

use crate::media::signed_url::MediaLinker;
use crate::model::channel::ChannelName;
use crate::model::media_file::{FileKind, FileName, MediaSlot};
use crate::model::post::{Post, PostId};

/// Links the files in one slot of a post.
#[derive(Clone, Copy)]
pub(super) struct MediaLinks<'a> {
    linker: &'a MediaLinker,
    channel: &'a ChannelName,
    post: PostId,
    revision: u32,
    slot: MediaSlot,
}

impl<'a> MediaLinks<'a> {
    /// Links the files in the first slot of a post.
    pub(super) fn new(post: &Post, channel: &'a ChannelName, linker: &'a MediaLinker) -> Self {
        Self { linker, channel, post: post.id, revision: post.revision, slot: MediaSlot::Medium(0) }
    }

    /// Links the files in another slot of the same post.
    pub(super) fn at(self, slot: MediaSlot) -> Self {
        // The position of a medium in an article never changes its meaning.
        let revision = if matches!(slot, MediaSlot::Article { .. }) { 0 } else { self.revision };
        Self { revision, slot, ..self }
    }

    /// Returns where a file is seen that must not be embedded: at its own URL in an article, else in Telegram, because the URLs
    /// of preview pages expire.
    pub(super) fn link<'b>(&self, url: Option<&'b str>, in_telegram: &'b str) -> &'b str {
        url.filter(|_| matches!(self.slot, MediaSlot::Article { .. })).unwrap_or(in_telegram)
    }

    /// Returns the URL under which readers get the file that is at `telegram_url`; `None` if it must not be embedded.
    pub(super) fn url(&self, kind: FileKind, telegram_url: &str) -> Option<String> {
        let name = FileName { slot: self.slot, kind, revision: self.revision };
        self.linker.url(self.channel, Some(self.post), name, telegram_url)
    }
}
