//! Albums: several messages with consecutive ids that Telegram shows as one post.

use super::post::{Post, PostId};

/// The maximum number of items of an album.
pub const MAX_ALBUM_ITEMS: u32 = 10;

/// Returns whether the post is an album.
#[must_use]
pub fn is_album(post: &Post) -> bool {
    n_items(post) > 1
}

/// Returns whether `id` is one of an album's items other than the first, whose id is the album's.
#[must_use]
pub fn is_inside(id: PostId, album: &Post) -> bool {
    album.id < id && id.get() < album.id.get().saturating_add(n_items(album))
}

/// Returns how many ids the post takes. A figure of its text takes none.
fn n_items(post: &Post) -> u32 {
    u32::try_from(post.attached_media().count().max(post.documents.len()))
        .unwrap_or(MAX_ALBUM_ITEMS)
        .clamp(1, MAX_ALBUM_ITEMS)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::post::Media;
    use crate::model::rich_text::{EntityKind, RichText};

    /// The figures of a rich post take no ids, so the next posts are not items of an album.
    #[test]
    fn rich_post_with_figures_is_not_an_album() {
        let id = |id| PostId::new(id).unwrap();
        let photo =
            Media::Photo { url: Some("https://example.org/p".into()), file: None, size: None, item: None };
        let mut text = RichText::default();
        for n in 0..3 {
            text.entity(EntityKind::Figure(n), |text| text.push_str("\u{fffc}"));
        }
        let post = Post::empty(id(7), "https://example.org/7".to_owned(), Timestamp::UNIX_EPOCH);
        let rich = Post { text, media: vec![photo.clone(); 3], ..post };
        assert!(!is_album(&rich) && rich.attached_media().next().is_none() && !is_inside(id(8), &rich));
        let captioned = Post { media: vec![photo; 5], ..rich };
        assert!(is_album(&captioned) && is_inside(id(8), &captioned) && !is_inside(id(9), &captioned));
    }
}
