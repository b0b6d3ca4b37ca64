//! The files that a post shows, each under a name that stays: Telegram's own addresses of them do not.

use std::fmt;
use std::mem;
use std::str::FromStr;

use crate::model::channel::{Channel, ChannelName};
use crate::model::post::{Media, Post, PostId, StickerFormat};

/// A file of a channel: what never changes about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The channel.
    pub channel: ChannelName,
    /// The post that shows it; `None` for the channel's own photo.
    pub post: Option<PostId>,
    /// Which one of the post's.
    pub name: FileName,
}

impl fmt::Display for FileId {
    /// As it stands in addresses: `durov/42/0.jpg`. The channel is in small letters, since t.me's spelling of it may
    /// change; its own photo belongs to post 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let post = self.post.map_or(0, PostId::get);
        write!(f, "{}/{post}/{}", self.channel.as_str().to_ascii_lowercase(), self.name)
    }
}

impl FromStr for FileId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (channel, rest) = text.split_once('/').ok_or(())?;
        let (post, name) = rest.split_once('/').ok_or(())?;
        let channel = ChannelName::new(channel).ok_or(())?;
        Ok(Self { channel, post: PostId::new(post.parse().map_err(drop)?), name: name.parse()? })
    }
}

/// The name of a file among those of its post: `0.mp4`, `0.jpg` for the still picture of that video, `link.jpg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    /// What shows it.
    pub slot: MediaSlot,
    /// What kind it is, which tells a video from its still picture.
    pub kind: FileKind,
    /// How often the post was changed to show something else. It is part of the name so that whoever has kept the file
    /// asks again; what is sent is always what the post shows now.
    pub revision: u32,
}

/// The part of a post that shows a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaSlot {
    /// Its n-th medium, from 0.
    Medium(usize),
    /// The preview of a link.
    Preview,
}

/// A kind of file, as Telegram uses it; what is sent is told by the file's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Photos, still pictures of videos.
    Jpeg,
    /// Videos.
    Mp4,
    /// Voice messages.
    Ogg,
    /// Stickers.
    Webp,
    /// Moving stickers.
    Webm,
}

impl FileKind {
    const ALL: [Self; 5] = [Self::Jpeg, Self::Mp4, Self::Ogg, Self::Webp, Self::Webm];

    /// What stands behind the point of its name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
            Self::Webp => "webp",
            Self::Webm => "webm",
        }
    }

    /// Its MIME type.
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Mp4 => "video/mp4",
            Self::Ogg => "audio/ogg",
            Self::Webp => "image/webp",
            Self::Webm => "video/webm",
        }
    }
}

impl FileName {
    /// The name of a channel's photo.
    pub const PHOTO: Self = Self { slot: MediaSlot::Medium(0), kind: FileKind::Jpeg, revision: 0 };
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot {
            MediaSlot::Medium(n) => write!(f, "{n}")?,
            MediaSlot::Preview => f.write_str("link")?,
        }
        if self.revision > 0 {
            write!(f, "-{}", self.revision)?;
        }
        write!(f, ".{}", self.kind.extension())
    }
}

impl FromStr for FileName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (stem, extension) = text.split_once('.').ok_or(())?;
        let kind = FileKind::ALL.into_iter().find(|kind| kind.extension() == extension).ok_or(())?;
        let (slot, revision) = stem.split_once('-').unwrap_or((stem, "0"));
        let slot = match slot {
            "link" => MediaSlot::Preview,
            n => MediaSlot::Medium(n.parse().map_err(drop)?),
        };
        Ok(Self { slot, kind, revision: revision.parse().map_err(drop)? })
    }
}

/// The addresses of a post's files, as Telegram told them one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaUrls {
    all: Vec<(MediaSlot, FileKind, Box<str>)>,
    /// As in [`FileName::revision`], the present one.
    revision: u32,
}

impl MediaUrls {
    /// The files of a post.
    #[must_use]
    pub fn of(post: &Post) -> Self {
        let mut files = Self { revision: post.revision, all: Vec::new() };
        each_url(&mut post.clone(), |slot, kind, url| {
            files.all.extend(kind.map(|kind| (slot, kind, mem::take(url).into())));
        });
        files
    }

    /// The one file of a channel itself.
    #[must_use]
    pub fn of_channel(channel: &Channel) -> Self {
        let photo = channel.photo.as_deref();
        let photo = photo.map(|url| (FileName::PHOTO.slot, FileName::PHOTO.kind, url.into()));
        Self { all: photo.into_iter().collect(), revision: FileName::PHOTO.revision }
    }

    /// The address of a file; its revision does not matter.
    #[must_use]
    pub fn get(&self, name: FileName) -> Option<&str> {
        let found = self.all.iter().find(|(slot, kind, _)| (*slot, *kind) == (name.slot, name.kind));
        found.map(|(_, _, url)| &**url)
    }

    /// Whether the post has not changed to show something else since a file had this name.
    #[must_use]
    pub fn is_current(&self, name: FileName) -> bool {
        self.revision == name.revision
    }
}

/// A post with every address of a file left blank: these change without the post's being changed.
#[must_use]
pub fn without_urls(mut post: Post) -> Post {
    each_url(&mut post, |_, _, url| url.clear());
    post
}

/// Does something with each address of a file that a post has: where it is shown, and as what, if it is at all.
fn each_url(post: &mut Post, mut each: impl FnMut(MediaSlot, Option<FileKind>, &mut String)) {
    let mut each = |slot, kind, url: Option<&mut String>| {
        if let Some(url) = url {
            each(slot, kind, url);
        }
    };
    for (n, medium) in post.media.iter_mut().enumerate() {
        let slot = MediaSlot::Medium(n);
        match medium {
            Media::Photo { url, .. } => each(slot, Some(FileKind::Jpeg), Some(url)),
            Media::Video(video) => {
                each(slot, Some(FileKind::Mp4), video.url.as_mut());
                each(slot, Some(FileKind::Jpeg), video.poster.as_mut());
            }
            Media::Voice { url, .. } => each(slot, Some(FileKind::Ogg), Some(url)),
            Media::Sticker { url, format, still } => {
                let kind = match format {
                    StickerFormat::Webp => Some(FileKind::Webp),
                    StickerFormat::Webm => Some(FileKind::Webm),
                    StickerFormat::Tgs => None,
                };
                each(slot, kind, Some(url));
                each(slot, Some(FileKind::Jpeg), still.as_mut());
            }
            Media::Location { map, .. } => each(slot, Some(FileKind::Jpeg), map.as_mut()),
            Media::Game(offer) | Media::Invoice(offer) => {
                each(slot, Some(FileKind::Jpeg), offer.image.as_mut());
            }
            Media::Contact { .. } => {}
        }
    }
    if let Some(preview) = &mut post.preview {
        each(MediaSlot::Preview, Some(FileKind::Mp4), preview.video.as_mut());
        each(MediaSlot::Preview, Some(FileKind::Jpeg), preview.image.as_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in
            ["durov/42/0.jpg", "durov/42/12.mp4", "durov/42/link.jpg", "durov/42/3-2.webp", "durov/0/0.jpg"]
        {
            assert_eq!(text.parse::<FileId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "durov",
            "durov/42",
            "durov/x/0.jpg",
            "durov/42/0.svg",
            "durov/42/.jpg",
            "d/42/0.jpg",
            "durov/42/0",
        ] {
            assert!(text.parse::<FileId>().is_err(), "{text}");
        }
    }
}
