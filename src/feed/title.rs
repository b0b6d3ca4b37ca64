//! The title and summary of an entry.

pub(super) mod style;

use super::plain_text;
use crate::language::{FeedWords, Language, fill};
use crate::model::post::{Document, Media, Post, VideoKind};
use crate::model::rich_text::RichText;
use crate::model::signature;

/// The maximum length of a title.
const MAX_TITLE_CHARS: usize = 80;

/// The maximum length of a summary.
pub(super) const MAX_SUMMARY_CHARS: usize = 280;

/// The length up to which a line is joined with the next one.
const SHORT_LINE_CHARS: usize = 25;

/// The character that makes an emoji of a digit.
const KEYCAP: char = '\u{20e3}';

/// The character that follows letters such as `ℹ` where they are shown as emoji.
const EMOJI_STYLE: char = '\u{fe0f}';

/// Returns the title of an entry: plain text on one line, never blank.
///
/// 1. The first line of the post's text that has a word. A line that is short, or ends in `:` or `,`, is joined with the
///    next one that has words. Spoilers are masked. URLs, hashtags, numbers, emoji and punctuation are no words.
/// 2. The first line that has a number.
/// 3. The name of the post's other content: the link preview's title or description, if it has a word, the question of a
///    poll, the name of a file, a venue, a game or a contact.
/// 4. The first line of the text that is not only a URL.
/// 5. The site or the kind of the post's other content.
/// 6. The first visible line of the text.
///
/// The channel's signature lines do not count as lines of the text, unless the post has nothing else.
pub(super) fn title(post: &Post, signature_lines: &[String], language: Language) -> String {
    let words = &language.words().feed;
    let title = of_text(post, signature_lines, words)
        .or_else(|| name(post, words))
        .or_else(|| describe(post, language))
        .or_else(|| post.full_text().without_spoilers().lines().find_map(plain_text::visible_line));
    let title = title.unwrap_or_else(|| {
        if post.only_in_telegram.is_some() { words.post_only_in_telegram } else { words.post }.to_owned()
    });
    plain_text::cut(title, MAX_TITLE_CHARS)
}

/// Returns the title that the text makes; `None` if another part of the post says more.
fn of_text(post: &Post, signature_lines: &[String], words: &FeedWords) -> Option<String> {
    let text = post.full_text();
    let text = text.without_spoilers();
    let is_own = |line: &&str| !signature::contains(signature_lines, line);
    let lines = || text.lines().filter(is_own).filter_map(plain_text::visible_line);
    headline(lines())
        .or_else(|| lines().find(|line| line.split(' ').any(is_number)))
        .or_else(|| lines().find(|line| !is_url(line)).filter(|_| name(post, words).is_none()))
}

/// Returns the beginning of the post's text on one line of plain text, or the title if there is no text.
pub(super) fn summary(post: &Post, language: Language) -> String {
    plain_text::visible_beginning(&post.full_text().without_spoilers(), MAX_SUMMARY_CHARS)
        .unwrap_or_else(|| title(post, &[], language))
}

/// Returns the first line that has a word, joined with the next one if it says too little.
fn headline(lines: impl Iterator<Item = String>) -> Option<String> {
    let mut lines = lines.filter(|line| has_word(line));
    let first = lines.next()?;
    let is_short = first.chars().count() <= SHORT_LINE_CHARS || first.ends_with([':', ',']);
    let Some(next) = lines.next().filter(|_| is_short) else { return Some(first) };
    let separator = if first.ends_with(|c: char| c.is_alphanumeric()) { " – " } else { " " };
    Some(first + separator + &next)
}

fn has_word(line: &str) -> bool {
    line.split(' ').any(is_word)
}

/// Returns whether this is a word rather than a URL, hashtag, number, emoji or line of punctuation.
fn is_word(word: &str) -> bool {
    let mut pairs = word.chars().zip(word.chars().skip(1).chain([' ']));
    let has_letter = pairs.any(|(c, next)| c.is_alphabetic() && next != EMOJI_STYLE);
    !word.starts_with('#') && !is_url(word) && has_letter
}

/// Returns whether this is a number rather than an emoji such as `1️⃣`.
fn is_number(word: &str) -> bool {
    word.contains(char::is_numeric) && !word.contains(|c: char| c.is_alphabetic() || c == KEYCAP)
}

/// Returns whether the line is only a URL, with or without its scheme.
fn is_url(line: &str) -> bool {
    let host = line.split_once("://").map_or(line, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let has_scheme = line.starts_with("https://") || line.starts_with("http://") || line.starts_with("www.");
    let is_host = host.len() < line.len()
        && host
            .rsplit_once('.')
            .is_some_and(|(_, tld)| tld.len() > 1 && tld.chars().all(char::is_alphabetic));
    !line.contains(' ') && (has_scheme || is_host)
}

/// Returns the first text of the post's link preview that says what it shows.
fn preview_name(post: &Post) -> Option<String> {
    let preview = post.preview.as_ref()?;
    let description = preview.description.as_ref().map(RichText::without_spoilers);
    let texts = [preview.title.as_deref(), description.as_deref()].into_iter().flatten();
    texts.filter_map(plain_text::visible_line).find(|line| has_word(line))
}

/// Returns the site of the post's link preview, or what it shows.
fn preview_kind(post: &Post, words: &FeedWords) -> Option<String> {
    let preview = post.preview.as_ref()?;
    let texts = [preview.title.as_deref(), preview.site.as_deref()];
    let kind = || match (&preview.video, &preview.image) {
        (Some(_), _) => Some(words.video.to_owned()),
        (None, Some(_)) => Some(words.picture.to_owned()),
        (None, None) => None,
    };
    texts.into_iter().flatten().find_map(plain_text::visible_line).or_else(kind)
}

/// Returns the name of the first part of the post's content, besides its text, that has one.
fn name(post: &Post, words: &FeedWords) -> Option<String> {
    preview_name(post)
        .or_else(|| {
            let poll = post.poll.as_ref()?;
            let kind = if poll.kind.contains("Quiz") { words.quiz } else { words.poll };
            Some(labelled(kind, &poll.question, words))
        })
        .or_else(|| post.documents.iter().find_map(file))
        .or_else(|| post.media.iter().find_map(|medium| medium_name(medium, words)))
}

/// Describes the content of a post that has neither text nor a name.
fn describe(post: &Post, language: Language) -> Option<String> {
    let words = &language.words().feed;
    let named = |template: &str, name: &str| Some(fill(template, &[&plain_text::visible_line(name)?]));
    preview_kind(post, words)
        .or_else(|| album(post, language))
        .or_else(|| post.media.first().map(|first| medium_label(first, words).to_owned()))
        .or_else(|| post.unknown.iter().find_map(|unknown| plain_text::visible_line(&unknown.text)))
        .or_else(|| named(words.forwarded_from, &post.forward.as_ref()?.from.name))
        .or_else(|| named(words.reply_to, &post.reply.as_ref()?.to.name))
}

/// Returns a title for a post with several photos and videos besides those in its text.
fn album(post: &Post, language: Language) -> Option<String> {
    let is_item = |medium: &Media| matches!(medium, Media::Photo { .. } | Media::Video(_));
    let n = post.attached_media().filter(|(_, medium)| is_item(medium)).count();
    (n > 1).then(|| language.counted(n as u64, &language.words().feed.album))
}

/// Returns the name of a medium; `None` for pictures, videos and others without one.
fn medium_name(medium: &Media, words: &FeedWords) -> Option<String> {
    match medium {
        Media::Location { title, .. } => plain_text::visible_line(title.as_deref()?),
        Media::Game(offer) | Media::Invoice(offer) => plain_text::visible_line(&offer.title),
        Media::Contact { name, .. } => Some(labelled(words.contact, name, words)),
        Media::Photo { .. } | Media::Video(_) | Media::Voice { .. } | Media::Sticker { .. } => None,
    }
}

/// Returns Telegram's name for the kind of a medium.
fn medium_label(medium: &Media, words: &FeedWords) -> &'static str {
    match medium {
        Media::Photo { .. } => words.photo,
        Media::Video(video) => video_label(video.kind, words),
        Media::Voice { .. } => words.voice_message,
        Media::Sticker { .. } => words.sticker,
        Media::Location { .. } => words.location,
        Media::Contact { .. } => words.contact,
        Media::Game(_) => words.game,
        Media::Invoice(_) => words.invoice,
    }
}

/// Returns Telegram's name for this kind of video.
pub(super) fn video_label(kind: VideoKind, words: &FeedWords) -> &'static str {
    match kind {
        VideoKind::Plain => words.video,
        VideoKind::Animation => words.gif,
        VideoKind::Round => words.video_message,
    }
}

fn file(file: &Document) -> Option<String> {
    let name = plain_text::visible_line(&file.name)?;
    let performer = file.note.as_deref().filter(|_| file.audio).and_then(plain_text::visible_line);
    Some(performer.map_or_else(|| name.clone(), |performer| format!("{name} — {performer}")))
}

fn labelled(label: &str, text: &str, words: &FeedWords) -> String {
    let text = plain_text::visible_line(text);
    text.map_or_else(|| label.to_owned(), |text| format!("{label}{}{text}", words.colon))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::model::post::{Forward, LinkPreview, NamedLink, Poll};

    fn title_of(text: &str) -> String {
        title(&Post { text: RichText::from(text), ..fixtures::post() }, &[], Language::English)
    }

    #[test]
    fn title_is_the_first_line_with_a_word() {
        assert_eq!(
            title_of("\u{200b}\n#news #ai\n🔥🔥\n  Rust   is #one by every measure\nmore"),
            "Rust is #one by every measure"
        );
        assert_eq!(title_of("\n#news #ai\n🔥"), "#news #ai");
        assert_eq!(title_of("#1 reason"), "#1 reason");
        assert_eq!(title_of("🔥"), "🔥");
        for (text, title) in [
            ("VTLite 0.6.2\nFaster start", "VTLite 0.6.2 – Faster start"),
            ("The president of the republic:\n🔥\n“We wait.”", "The president of the republic: “We wait.”"),
            ("Good morning!\nToday is a day", "Good morning! Today is a day"),
            ("https://example.org/a\nA comment that is long enough", "A comment that is long enough"),
            ("https://example.org/a", "https://example.org/a"),
            ("example.org/a\nOf the lighthouse and/or the pier", "Of the lighthouse and/or the pier"),
            ("and/or\n🔥", "and/or"),
            ("Short\n#tag", "Short"),
        ] {
            assert_eq!(title_of(text), title, "{text}");
        }
        let long = title_of(&"word ".repeat(40));
        assert!(long.chars().count() <= 80 && long.ends_with("word…"), "{long}");
    }

    #[test]
    fn title_of_a_post_without_text_describes_its_content() {
        let photo = Media::Photo { url: "x".into(), file: None, size: None };
        let contact = Media::Contact { name: "Ada <b>".into(), phone: None };
        let titled = |post: Post| title(&post, &[], Language::English);
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
        let track = Document { audio: true, ..fixtures::document("Song", "Band") };
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
    fn text_without_words_gives_way_to_the_name_of_other_content() {
        let video = LinkPreview { title: Some("Low tide".into()), ..LinkPreview::default() };
        let file = fixtures::document("tides.pdf", "1 MB");
        let photo = Media::Photo { url: "x".into(), file: None, size: None };
        let empty = fixtures::post();
        let picture =
            LinkPreview { title: Some("🔥".into()), image: Some("x".into()), ..LinkPreview::default() };
        let (with_preview, with_picture, with_file, with_photo) = (
            Post { preview: Some(video), ..empty.clone() },
            Post { preview: Some(picture), ..empty.clone() },
            Post { documents: vec![file], ..empty.clone() },
            Post { media: vec![photo], ..empty.clone() },
        );
        for (text, post, expected) in [
            ("👉 https://example.org/a", &with_preview, "Low tide"),
            ("#video\nhttps://example.org/a", &with_preview, "Low tide"),
            ("1️⃣", &with_preview, "Low tide"),
            ("🔥\n№ 5\nhttps://example.org/a", &with_preview, "№ 5"),
            ("Watch", &with_preview, "Watch"),
            ("👇", &with_file, "tides.pdf"),
            ("#tide 🔥", &with_picture, "#tide 🔥"),
            ("ℹ️", &with_preview, "Low tide"),
            ("https://example.org/a", &with_picture, "🔥"),
            ("https://example.org/a", &with_photo, "Photo"),
            ("#tide 🔥", &with_photo, "#tide 🔥"),
            ("👉 https://example.org/a", &empty, "👉 https://example.org/a"),
        ] {
            let post = Post { text: text.into(), ..post.clone() };
            assert_eq!(title(&post, &[], Language::English), expected, "{text}");
        }
    }

    #[test]
    fn signature_is_a_title_only_if_the_post_has_nothing_else() {
        let signature = ["Tea Club".to_owned(), "#tea".to_owned()];
        let photo = Media::Photo { url: "x".into(), file: None, size: None };
        for (text, media, expected) in [
            ("Tea Club", vec![photo.clone()], "Photo"),
            ("Tea  Club\n#tea", vec![photo; 2], "Album of 2"),
            ("Green or black?\nTea Club", vec![], "Green or black?"),
            ("Tea Club\n#tea\nGreen or black?", vec![], "Green or black?"),
            ("Tea Club of the year", vec![], "Tea Club of the year"),
            ("#tea\nTea Club", vec![], "#tea"),
        ] {
            let post = Post { text: text.into(), media, ..fixtures::post() };
            assert_eq!(title(&post, &signature, Language::English), expected, "{text}");
        }
    }

    #[test]
    fn summary_is_the_beginning_of_the_text() {
        let post = Post { text: "one\n\ntwo <b>".into(), ..fixtures::post() };
        assert_eq!(summary(&post, Language::English), "one two ‹b›");
        assert_eq!(summary(&fixtures::post(), Language::English), "Post");
    }
}
