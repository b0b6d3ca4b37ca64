//! Where the files of a post are had from.

use crate::channel::ChannelName;
use crate::files::{FileKind, FileName, Slot};
use crate::media::Links;
use crate::post::{Post, PostId};

/// A part of a post that shows files.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    links: &'a Links,
    channel: &'a ChannelName,
    post: PostId,
    edition: u32,
    slot: Slot,
}

impl<'a> Source<'a> {
    /// The first medium of a post.
    pub(super) fn of(post: &Post, channel: &'a ChannelName, links: &'a Links) -> Self {
        Self { links, channel, post: post.id, edition: post.edition, slot: Slot::Medium(0) }
    }

    /// The same post's part in another place.
    pub(super) fn at(self, slot: Slot) -> Self {
        Self { slot, ..self }
    }

    /// The address under which a reader gets what Telegram has at `url`, if that may be embedded.
    pub(super) fn admit(&self, kind: FileKind, url: &str) -> Option<String> {
        let name = FileName { slot: self.slot, kind, edition: self.edition };
        self.links.link(self.channel, Some(self.post), name, url)
    }
}
