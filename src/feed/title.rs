//! The title and summary of an entry.

use super::plain_text;
use crate::model::post::{Document, Media, Post, VideoKind};

/// The maximum length of a title.
const MAX_TITLE_CHARS: usize = 80;

/// The maximum length of a summary.
const MAX_SUMMARY_CHARS: usize = 280;

/// Returns the first line of the post's text, or else a description of its content: plain text on one line, never
/// blank.
pub(super) fn title(post: &Post) -> String {
    let title = headline(post.text.text()).or_else(|| describe(post)).unwrap_or_else(|| {
        if post.only_in_telegram.is_some() { "Post that opens only in Telegram" } else { "Post" }.to_owned()
    });
    plain_text::cut(title, MAX_TITLE_CHARS)
}

/// Returns the beginning of the post's text on one line of plain text, or the title if there is no text.
pub(super) fn summary(post: &Post) -> String {
    plain_text::visible_line(post.text.text())
        .map_or_else(|| title(post), |text| plain_text::cut(text, MAX_SUMMARY_CHARS))
}

/// Returns the first line that contains a word, or else the first visible one.
fn headline(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(plain_text::visible_line);
    let first = lines.next()?;
    if first.split(' ').any(is_word) {
        return Some(first);
    }
    lines.find(|line| line.split(' ').any(is_word)).or(Some(first))
}

/// Returns whether this is a word rather than a hashtag, emoji or line of punctuation.
fn is_word(word: &str) -> bool {
    let is_hashtag = word.starts_with('#') && word.contains(char::is_alphabetic);
    !is_hashtag && word.contains(char::is_alphanumeric)
}

/// Describes the content of a post without text by its most informative part.
fn describe(post: &Post) -> Option<String> {
    album(post)
        .or_else(|| post.media.first().map(medium))
        .or_else(|| {
            let poll = post.poll.as_ref()?;
            let kind = if poll.kind.contains("Quiz") { "Quiz" } else { "Poll" };
            Some(labelled(kind, &poll.question))
        })
        .or_else(|| post.documents.iter().find_map(file))
        .or_else(|| {
            let preview = post.preview.as_ref()?;
            [&preview.title, &preview.site, &preview.description]
                .into_iter()
                .flatten()
                .find_map(|text| plain_text::visible_line(text))
        })
        .or_else(|| post.unknown.iter().find_map(|unknown| plain_text::visible_line(&unknown.text)))
        .or_else(|| {
            Some(format!("Forwarded from {}", plain_text::visible_line(&post.forward.as_ref()?.from.name)?))
        })
        .or_else(|| Some(format!("Reply to {}", plain_text::visible_line(&post.reply.as_ref()?.to.name)?)))
}

/// Returns a title for a post with several photos and videos.
fn album(post: &Post) -> Option<String> {
    let n =
        post.media.iter().filter(|medium| matches!(medium, Media::Photo { .. } | Media::Video(_))).count();
    (n > 1).then(|| format!("Album of {n}"))
}

fn medium(medium: &Media) -> String {
    match medium {
        Media::Photo { .. } => "Photo".to_owned(),
        Media::Video(video) => video_label(video.kind).to_owned(),
        Media::Voice { .. } => "Voice message".to_owned(),
        Media::Sticker { .. } => "Sticker".to_owned(),
        Media::Location { title, .. } => {
            title.as_deref().and_then(plain_text::visible_line).unwrap_or_else(|| "Location".to_owned())
        }
        Media::Contact { name, .. } => labelled("Contact", name),
        Media::Game(offer) => plain_text::visible_line(&offer.title).unwrap_or_else(|| "Game".to_owned()),
        Media::Invoice(offer) => {
            plain_text::visible_line(&offer.title).unwrap_or_else(|| "Invoice".to_owned())
        }
    }
}

/// Returns Telegram's name for this kind of video.
pub(super) fn video_label(kind: VideoKind) -> &'static str {
    match kind {
        VideoKind::Plain => "Video",
        VideoKind::Animation => "GIF",
        VideoKind::Round => "Video message",
    }
}

fn file(file: &Document) -> Option<String> {
    let name = plain_text::visible_line(&file.name)?;
    let performer = file.note.as_deref().filter(|_| file.audio).and_then(plain_text::visible_line);
    Some(performer.map_or_else(|| name.clone(), |performer| format!("{name} — {performer}")))
}

fn labelled(label: &str, text: &str) -> String {
    plain_text::visible_line(text).map_or_else(|| label.to_owned(), |text| format!("{label}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::model::post::{Forward, LinkPreview, NamedLink, Poll};
    use crate::model::rich_text::RichText;

    fn title_of(text: &str) -> String {
        title(&Post { text: RichText::from(text), ..fixtures::post() })
    }

    #[test]
    fn title_is_the_first_line_with_a_word() {
        assert_eq!(title_of("\u{200b}\n#news #ai\n🔥🔥\n  Rust   is #one\nmore"), "Rust is #one");
        assert_eq!(title_of("\n#news #ai\n🔥"), "#news #ai");
        assert_eq!(title_of("#1 reason"), "#1 reason");
        assert_eq!(title_of("🔥"), "🔥");
        let long = title_of(&"word ".repeat(40));
        assert!(long.chars().count() <= 80 && long.ends_with("word…"), "{long}");
    }

    #[test]
    fn title_of_a_post_without_text_describes_its_content() {
        let photo = Media::Photo { url: "x".into(), file: None, size: None };
        let contact = Media::Contact { name: "Ada <b>".into(), phone: None };
        let titled = |post: Post| title(&post);
        assert_eq!(titled(Post { media: vec![photo.clone()], ..fixtures::post() }), "Photo");
        assert_eq!(titled(Post { media: vec![photo; 4], ..fixtures::post() }), "Album of 4");
        assert_eq!(titled(Post { media: vec![contact], ..fixtures::post() }), "Contact: Ada ‹b›");
        assert_eq!(
            titled(Post { only_in_telegram: Some(String::new()), ..fixtures::post() }),
            "Post that opens only in Telegram"
        );
        assert_eq!(titled(Post { text: "\u{3164}\n".into(), ..fixtures::post() }), "Post");
        let quiz =
            Poll { question: "Why?".into(), kind: "Anonymous Quiz".into(), options: vec![], voters: None };
        assert_eq!(titled(Post { poll: Some(quiz), ..fixtures::post() }), "Quiz: Why?");
        let track = Document { name: "Song".into(), note: Some("Band".into()), audio: true };
        assert_eq!(titled(Post { documents: vec![track], ..fixtures::post() }), "Song — Band");
        let preview =
            LinkPreview { title: Some(" ".into()), site: Some("Site".into()), ..LinkPreview::default() };
        assert_eq!(titled(Post { preview: Some(preview), ..fixtures::post() }), "Site");
        let from = NamedLink { name: "Someone".into(), url: None };
        assert_eq!(
            titled(Post { forward: Some(Forward { from, author: None }), ..fixtures::post() }),
            "Forwarded from Someone"
        );
    }

    #[test]
    fn summary_is_the_beginning_of_the_text() {
        let post = Post { text: "one\n\ntwo <b>".into(), ..fixtures::post() };
        assert_eq!(summary(&post), "one two ‹b›");
        assert_eq!(summary(&fixtures::post()), "Post");
    }
}
