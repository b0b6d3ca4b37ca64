//! The pictures, videos and voice messages of a post, each with a permanent name.
//!
//! Telegram's URLs of these files expire; the names never do, so the service's own URLs are built from them. Attached
//! documents have no URL on the preview page and are not among these files.

use std::fmt;
use std::mem;
use std::str::FromStr;

use crate::model::article::Article;
use crate::model::channel::{Channel, ChannelName};
use crate::model::post::{Media, Post, PostId, StickerFormat};

/// The permanent identity of a media file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The channel that published it.
    pub channel: ChannelName,
    /// The post that shows it; `None` for the channel's own photo.
    pub post: Option<PostId>,
    /// The name among the files of the post.
    pub name: FileName,
}

impl fmt::Display for FileId {
    /// Writes the path used in media URLs: `durov/42/0.jpg`. The channel name is in lower case, because t.me may change
    /// its spelling. The channel's own photo has post number 0.
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

/// Returns the kind of a medium's own file, as opposed to its poster. `None` for media without one that readers can
/// display.
#[must_use]
pub fn kind_of(medium: &Media) -> Option<FileKind> {
    match medium {
        Media::Photo { .. } => Some(FileKind::Jpeg),
        Media::Video(_) => Some(FileKind::Mp4),
        Media::Voice { .. } => Some(FileKind::Ogg),
        Media::Sticker { format: StickerFormat::Webp, .. } => Some(FileKind::Webp),
        Media::Sticker { format: StickerFormat::Webm, .. } => Some(FileKind::Webm),
        _ => None,
    }
}

/// The name of a file within its post: `0.mp4` for a video, `0.jpg` for its poster, `link.jpg` for a preview
/// picture, `article0_3.jpg` for a picture of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    /// The part of the post that shows the file.
    pub slot: MediaSlot,
    /// The kind, which distinguishes a video from its poster.
    pub kind: FileKind,
    /// [`Post::revision`] when the file was linked. A new revision changes the URL, so clients do not reuse a cached
    /// file; the service itself always sends what the post shows now.
    pub revision: u32,
}

/// The part of a post that shows a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaSlot {
    /// The n-th medium, counted from 0.
    Medium(usize),
    /// The link preview.
    Preview,
    /// A figure of an article that the post links to.
    Article {
        /// The number of the article among those of the post.
        article: usize,
        /// The position of the medium in the article.
        medium: usize,
    },
}

/// The kind of a file, as Telegram uses it. The `Content-Type` of a proxied file is detected from its bytes instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Photos, posters, maps and preview pictures.
    Jpeg,
    /// Videos.
    Mp4,
    /// Voice messages.
    Ogg,
    /// Stickers.
    Webp,
    /// Video stickers.
    Webm,
}

impl FileKind {
    const ALL: [Self; 5] = [Self::Jpeg, Self::Mp4, Self::Ogg, Self::Webp, Self::Webm];

    /// Returns the extension in file names, without the dot.
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

    /// Returns the MIME type.
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
            MediaSlot::Article { article, medium } => write!(f, "article{article}_{medium}")?,
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
            slot => match slot.strip_prefix("article") {
                Some(place) => {
                    let (article, medium) = place.split_once('_').ok_or(())?;
                    let number = |text: &str| text.parse().map_err(drop);
                    MediaSlot::Article { article: number(article)?, medium: number(medium)? }
                }
                None => MediaSlot::Medium(slot.parse().map_err(drop)?),
            },
        };
        Ok(Self { slot, kind, revision: revision.parse().map_err(drop)? })
    }
}

/// Telegram's URLs of the files of a post, taken from one preview page. They expire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaUrls {
    all: Vec<(MediaSlot, FileKind, Box<str>)>,
    /// The revision of the post on that preview page.
    revision: u32,
}

/// Returns the URL of a medium of an article.
#[must_use]
pub fn url_in_article(article: &Article, position: usize, kind: FileKind) -> Option<&str> {
    match article.media.get(position)? {
        medium if kind_of(medium) != Some(kind) => None,
        Media::Photo { url, .. } => url.as_deref(),
        Media::Video(video) => video.url.as_deref(),
        _ => None,
    }
}

impl MediaUrls {
    /// Returns the URLs of a post's files.
    #[must_use]
    pub fn of(post: &Post) -> Self {
        let mut urls = Self { revision: post.revision, all: Vec::new() };
        each_url(&mut post.clone(), |slot, kind, url| {
            urls.all.extend(kind.map(|kind| (slot, kind, mem::take(url).into())));
        });
        urls
    }

    /// Returns the URL of a channel's photo.
    #[must_use]
    pub fn of_channel(channel: &Channel) -> Self {
        let photo = channel.photo.as_deref();
        let photo = photo.map(|url| (FileName::PHOTO.slot, FileName::PHOTO.kind, url.into()));
        Self { all: photo.into_iter().collect(), revision: FileName::PHOTO.revision }
    }

    /// Returns the URL of a file, whatever the revision in its name.
    #[must_use]
    pub fn get(&self, name: FileName) -> Option<&str> {
        let found = self.all.iter().find(|(slot, kind, _)| (*slot, *kind) == (name.slot, name.kind));
        found.map(|(_, _, url)| &**url)
    }

    /// Returns whether the post has not been edited to show other media since the file got this name.
    #[must_use]
    pub fn is_current(&self, name: FileName) -> bool {
        self.revision == name.revision
    }
}

/// Clears all file URLs of a post, to compare posts: Telegram rotates the URLs without the post being edited.
#[must_use]
pub fn without_urls(mut post: Post) -> Post {
    each_url(&mut post, |_, _, url| url.clear());
    post
}

/// Reduces all file URLs of a post to their origin, which is all that a feed with the service's own media URLs depends on.
/// The rest is half of a compressed post, and changes whenever Telegram rotates it.
#[must_use]
pub fn with_url_origins(mut post: Post) -> Post {
    each_url(&mut post, |_, _, url| truncate_to_origin(url));
    post
}

/// Removes everything behind the host and port of a URL.
pub fn truncate_to_origin(url: &mut String) {
    let authority = url.find("://").map(|at| at + "://".len());
    let path = authority.and_then(|at| Some(at + url[at..].find('/')?));
    url.truncate(path.map_or(url.len(), |path| path + 1));
}

/// Calls `each` for every file URL of a post, with its slot and kind. The kind is `None` for a file that feeds do not
/// embed.
fn each_url(post: &mut Post, mut each: impl FnMut(MediaSlot, Option<FileKind>, &mut String)) {
    let mut each = |slot, kind, url: Option<&mut String>| {
        if let Some(url) = url {
            each(slot, kind, url);
        }
    };
    for (n, medium) in post.media.iter_mut().enumerate() {
        let (slot, kind) = (MediaSlot::Medium(n), kind_of(medium));
        match medium {
            Media::Photo { url, .. } | Media::Voice { url, .. } => each(slot, kind, url.as_mut()),
            Media::Video(video) => {
                each(slot, kind, video.url.as_mut());
                each(slot, Some(FileKind::Jpeg), video.poster.as_mut());
            }
            Media::Sticker { url, still, .. } => {
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
    fn urls_are_truncated_to_their_origin() {
        for (url, origin) in [
            ("https://cdn.example.org/file/a.jpg?x=/y", "https://cdn.example.org/"),
            ("http://127.0.0.1:80/a", "http://127.0.0.1:80/"),
            ("https://evil.example\\@cdn.example.org/a", "https://evil.example\\@cdn.example.org/"),
            ("https://cdn.example.org", "https://cdn.example.org"),
            ("/relative/path", "/relative/path"),
        ] {
            let mut truncated = url.to_owned();
            truncate_to_origin(&mut truncated);
            assert_eq!(truncated, origin);
        }
    }

    #[test]
    fn file_ids_are_parsed_as_they_are_displayed() {
        for text in [
            "durov/42/0.jpg",
            "durov/42/12.mp4",
            "durov/42/link.jpg",
            "durov/42/3-2.webp",
            "durov/0/0.jpg",
            "durov/42/article1_7.jpg",
        ] {
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
            "durov/42/article1.jpg",
        ] {
            assert!(text.parse::<FileId>().is_err(), "{text}");
        }
    }
}
