//! The title of an entry, and its summary.

use super::plain_text;
use crate::model::post::{Document, Media, Post, VideoKind};

/// How long a title may be, in characters.
const TITLE_CHARS: usize = 80;

/// How long a summary may be, in characters.
const SUMMARY_CHARS: usize = 280;

/// What the post says first, or else what it shows: plain text on one line, never blank.
pub(super) fn title(post: &Post) -> String {
    let title = headline(post.text.text()).or_else(|| shown(post)).unwrap_or_else(|| {
        if post.only_in_telegram.is_some() { "Post that opens only in Telegram" } else { "Post" }.to_owned()
    });
    plain_text::cut(title, TITLE_CHARS)
}

/// The beginning of the post on one line of plain text; the title when there is no text.
pub(super) fn summary(post: &Post) -> String {
    plain_text::visible_line(post.text.text())
        .map_or_else(|| title(post), |text| plain_text::cut(text, SUMMARY_CHARS))
}

/// The first line with a word in it, or else the first that shows anything.
fn headline(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(plain_text::visible_line);
    let first = lines.next()?;
    if first.split(' ').any(is_word) {
        return Some(first);
    }
    lines.find(|line| line.split(' ').any(is_word)).or(Some(first))
}

/// Whether this is more than a hashtag, an emoji or a rule.
fn is_word(word: &str) -> bool {
    let is_hashtag = word.starts_with('#') && word.contains(char::is_alphabetic);
    !is_hashtag && word.contains(char::is_alphanumeric)
}

/// What a post without text shows, the most telling first.
fn shown(post: &Post) -> Option<String> {
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

/// How many photos and videos the post shows, when they are more than one.
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

/// What Telegram calls such a video.
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
    fn the_first_line_with_a_word_is_the_title() {
        assert_eq!(title_of("\u{200b}\n#news #ai\n🔥🔥\n  Rust   is #one\nmore"), "Rust is #one");
        assert_eq!(title_of("\n#news #ai\n🔥"), "#news #ai");
        assert_eq!(title_of("#1 reason"), "#1 reason");
        assert_eq!(title_of("🔥"), "🔥");
        let long = title_of(&"word ".repeat(40));
        assert!(long.chars().count() <= 80 && long.ends_with("word…"), "{long}");
    }

    #[test]
    fn a_post_without_text_is_named_by_what_it_shows() {
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
    fn a_summary_is_the_beginning_of_the_text() {
        let post = Post { text: "one\n\ntwo <b>".into(), ..fixtures::post() };
        assert_eq!(summary(&post), "one two ‹b›");
        assert_eq!(summary(&fixtures::post()), "Post");
    }
}
