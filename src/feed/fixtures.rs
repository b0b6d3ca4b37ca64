//! Test values: a small channel, posts, entries and feeds.

use jiff::Timestamp;

use super::build;
use super::context::FeedContext;
use super::options::FeedOptions;
use super::{Entry, Feed};
use crate::media::signed_url::MediaLinker;
use crate::model::channel::{Channel, ChannelName};
use crate::model::post::{Document, Media, Post, PostId, Size, Snapshot, Video, VideoKind};
use crate::model::rich_text::{EntityKind, RichText};

/// 2024-06-19 15:22:45 UTC, when [`post`] was published.
pub(super) const TIME: Timestamp = Timestamp::constant(1_718_810_565, 0);

/// Returns a post without content.
pub(super) fn post() -> Post {
    Post::empty(PostId::new(7).unwrap(), "https://example.org/sample/7".into(), TIME)
}

/// Returns a document without a caption.
pub(super) fn document(name: &str, note: &str) -> Document {
    Document {
        name: name.into(),
        note: Some(note.into()),
        audio: false,
        item: None,
        caption: RichText::default(),
    }
}

/// Returns a snapshot of [`channel`] with these posts.
pub(super) fn snapshot(posts: Vec<Post>) -> Snapshot {
    Snapshot { channel: channel(), posts, has_older: false }
}

/// Returns a channel with a photo and without a description.
pub(super) fn channel() -> Channel {
    let name = ChannelName::new("sample").unwrap();
    let photo = Some("https://media.example.org/photo.jpg".into());
    Channel { photo, ..Channel::new(name, "https://example.org/sample".into(), "Sample & Co".into()) }
}

/// Returns a linker that allows `media.example.org` and does not proxy.
pub(super) fn linker() -> MediaLinker {
    MediaLinker { hosts: "media.example.org".parse().unwrap(), proxy: None, redirects: false }
}

/// Returns an entry with this text, unfiltered, in all its text fields.
pub(crate) fn entry(text: &str) -> Entry {
    Entry {
        id: "https://example.org/sample/7".into(),
        url: "https://example.org/sample/7".into(),
        title: Some(text.into()),
        summary: text.into(),
        body: text.into(),
        published: TIME,
        updated: TIME,
        author: Some(text.into()),
        categories: vec![text.into()],
        media: Vec::new(),
        source: None,
        post: None,
    }
}

/// Returns a feed with these entries.
pub(super) fn feed(entries: Vec<Entry>) -> Feed {
    Feed {
        title: "Sample".into(),
        description: "A sample".into(),
        home_url: "https://example.org/sample".into(),
        self_url: "https://feeds.example.org/sample/rss".into(),
        next_url: None,
        prev_url: None,
        icon: None,
        updated: TIME,
        entries,
    }
}

/// Builds a feed from an older signed post with a photo, a video of known size and a hashtag, and a newer post with a
/// photo.
pub(super) fn built() -> Feed {
    let mut text = RichText::from("Headline <b>\n\n");
    text.entity(EntityKind::Hashtag("https://example.org/?q=tag".into()), |text| text.push_str("#tag"));
    let video = Media::Video(Video {
        url: Some("https://media.example.org/v.mp4?a=1&b=2".into()),
        poster: Some("https://media.example.org/p".into()),
        seconds: Some(63),
        size: Some(Size { width: 640, height: 360 }),
        kind: VideoKind::Plain,
        item: None,
    });
    let photo = Media::Photo {
        url: Some("https://media.example.org/p.jpg".into()),
        file: None,
        size: None,
        item: None,
    };
    let older = Post {
        text,
        media: vec![photo.clone(), video],
        file_sizes: [(1, 4096)].into(),
        signature: Some("Ada".into()),
        ..post()
    };
    let newer = Post {
        id: PostId::new(8).unwrap(),
        permalink: "https://example.org/sample/8".into(),
        published: TIME + jiff::SignedDuration::from_secs(60),
        media: vec![photo],
        ..post()
    };
    let options = FeedOptions::parse("title=auto&hide=buttons&limit=9").unwrap();
    let context = FeedContext {
        url: "https://feeds.example.org/sample/rss".into(),
        media: linker(),
        options,
        ..FeedContext::default()
    };
    build(&snapshot(vec![older, newer]).into(), &context)
}
