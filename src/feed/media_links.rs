//! Where the files of a post are had from.

use crate::media::signed_url::MediaLinker;
use crate::model::channel::ChannelName;
use crate::model::media_file::{FileKind, FileName, MediaSlot};
use crate::model::post::{Post, PostId};

/// A part of a post that shows files.
#[derive(Clone, Copy)]
pub(super) struct MediaLinks<'a> {
    links: &'a MediaLinker,
    channel: &'a ChannelName,
    post: PostId,
    revision: u32,
    slot: MediaSlot,
}

impl<'a> MediaLinks<'a> {
    /// The first medium of a post.
    pub(super) fn of(post: &Post, channel: &'a ChannelName, links: &'a MediaLinker) -> Self {
        Self { links, channel, post: post.id, revision: post.revision, slot: MediaSlot::Medium(0) }
    }

    /// The same post's part in another place.
    pub(super) fn at(self, slot: MediaSlot) -> Self {
        Self { slot, ..self }
    }

    /// The address under which a reader gets what Telegram has at `url`, if that may be embedded.
    pub(super) fn url(&self, kind: FileKind, url: &str) -> Option<String> {
        let name = FileName { slot: self.slot, kind, revision: self.revision };
        self.links.url(self.channel, Some(self.post), name, url)
    }
}
