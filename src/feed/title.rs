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
/// 1. The first line of the post's text that has a word, without its URLs and the dashes and bullets around it. A line that
///    is short, or ends in `:` or `,`, is joined with the next one that has words; one that ends in `:` also with the title
///    of the link preview. Spoilers are masked. URLs, hashtags, numbers, emoji and punctuation are not words.
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
    headline(lines(), || preview_name(post))
        .or_else(|| lines().find(|line| line.split(' ').any(is_number)))
        .or_else(|| lines().find(|line| !is_url(line)).filter(|_| name(post, words).is_none()))
}

/// Returns the beginning of the post's text on one line of plain text, or the title if there is no text. Lines before the
/// first one with a word are left out.
pub(super) fn summary(post: &Post, language: Language) -> String {
    let text = post.full_text();
    let text = text.without_spoilers();
    let has_no_word = |text: &str| !has_word(&plain_text::line(text.lines().next().unwrap_or_default()));
    let mut rest = Some(&*text);
    while let Some(wordless) = rest.filter(|rest| has_no_word(rest)) {
        rest = wordless.split_once('\n').map(|(_, next)| next);
    }
    plain_text::visible_beginning(rest.unwrap_or(&text), MAX_SUMMARY_CHARS)
        .unwrap_or_else(|| title(post, &[], language))
}

/// Returns the first line that has a word, joined with the next one, or with the name of the preview, if it says too
/// little.
fn headline(
    lines: impl Iterator<Item = String>,
    preview_name: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let mut lines =
        lines.filter(|line| has_word(line)).map(|line| undecorated(&without_urls(&line)).to_owned());
    let mut first = lines.next()?;
    let announces = first.ends_with([':', '：']);
    let is_short = first.chars().count() <= SHORT_LINE_CHARS || first.ends_with(plain_text::is_clause_mark);
    let next = lines.next().filter(|_| is_short).or_else(|| preview_name().filter(|_| announces));
    let Some(next) = next else {
        return Some(first.trim_end_matches(plain_text::is_clause_mark).to_owned());
    };
    first.push_str(match first.chars().last() {
        Some(c) if c.is_alphanumeric() => " – ",
        Some(c) if plain_text::is_wide_mark(c) => "",
        _ => " ",
    });
    Some(first + &next)
}

/// Returns the line without the words that are URLs with a scheme.
fn without_urls(line: &str) -> String {
    let is_url = |word: &&str| {
        let bare = word.strip_prefix('(').filter(|rest| rest.contains(')')).unwrap_or(word);
        has_scheme(bare)
    };
    line.split(' ').filter(|word| !is_url(word)).collect::<Vec<_>>().join(" ")
}

/// Returns the line without the separators at its ends, unless they are part of a word, such as those of `/start`, `-5` and
/// `foo_`.
fn undecorated(line: &str) -> &str {
    let is_gap = |c: char| c == ' ' || plain_text::is_separator(c);
    let is_part = |run: &str| run.chars().count() < 3 && run.is_ascii();
    let inner = line.trim_start_matches(is_gap);
    let run = line[..line.len() - inner.len()].rsplit(' ').next().unwrap_or_default();
    let is_sign = matches!(run, "–" | "−") && inner.starts_with(|c: char| c.is_ascii_digit());
    let line = if is_part(run) || is_sign { &line[line.len() - inner.len() - run.len()..] } else { inner };
    let inner = line.trim_end_matches(is_gap);
    let run = line[inner.len()..].split(' ').next().unwrap_or_default();
    if is_part(run) { &line[..inner.len() + run.len()] } else { inner }
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
    let is_host = host.len() < line.len()
        && host
            .rsplit_once('.')
            .is_some_and(|(_, tld)| tld.len() > 1 && tld.chars().all(char::is_alphabetic));
    !line.contains(' ') && (has_scheme(line) || is_host)
}

fn has_scheme(word: &str) -> bool {
    ["https://", "http://", "www."].iter().any(|start| word.starts_with(start))
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
            ("سلام،\nامروز هوا خوب است", "سلام، امروز هوا خوب است"),
            ("早上好：\n今天天气很好", "早上好：今天天气很好"),
            ("Read it here → https://example.org/very/long/path", "Read it here"),
            ("https://example.org/a – our new essay about the sea", "our new essay about the sea"),
            ("The tide table (https://example.org/a) of all the piers", "The tide table of all the piers"),
            ("Compare Node.js/Deno and the lighthouse", "Compare Node.js/Deno and the lighthouse"),
            ("🥺 Lamps of the old pier //\nThey are lit", "🥺 Lamps of the old pier – They are lit"),
            ("———Sponsor of the month———\nTea & Sons", "Sponsor of the month – Tea & Sons"),
            ("• First bullet\n• Second bullet", "First bullet – Second bullet"),
            ("* * *  Low tide at the pier tonight | ", "Low tide at the pier tonight"),
            ("-5 °C and falling at the pier", "-5 °C and falling at the pier"),
            ("–5 °C and falling at the pier", "–5 °C and falling at the pier"),
            ("/start opens the menu of the bot", "/start opens the menu of the bot"),
            ("Why all of us still learn C++", "Why all of us still learn C++"),
            ("Where to put the file: src/feed/", "Where to put the file: src/feed/"),
            ("#1 in the list of the best piers", "#1 in the list of the best piers"),
            ("— “We wait,” said the keeper", "“We wait,” said the keeper"),
        ] {
            assert_eq!(title_of(text), title, "{text}");
        }
        let long = title_of(&"word ".repeat(40));
        assert!(long.chars().count() <= 80 && long.ends_with("word…"), "{long}");
    }

    #[test]
    fn title_of_a_post_without_text_describes_its_content() {
        let photo = Media::Photo { url: Some("x".into()), file: None, size: None, item: None };
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
        let photo = Media::Photo { url: Some("x".into()), file: None, size: None, item: None };
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
            ("New article: https://example.org/a", &with_preview, "New article: Low tide"),
            ("New article: https://example.org/a\nIt is short", &with_preview, "New article: It is short"),
            ("New article: https://example.org/a", &empty, "New article"),
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
        let photo = Media::Photo { url: Some("x".into()), file: None, size: None, item: None };
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
        for (text, expected) in
            [("🔥🔥\n#tea\none\n🔥\ntwo", "one 🔥 two"), ("🔥\n12", "🔥 12"), ("\u{3164}\none", "one")]
        {
            let post = Post { text: text.into(), ..fixtures::post() };
            assert_eq!(summary(&post, Language::English), expected, "{text}");
        }
        assert_eq!(summary(&fixtures::post(), Language::English), "Post");
    }
}
