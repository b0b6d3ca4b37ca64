//! Titles for readers who want others than the default ones.

use super::{MAX_TITLE_CHARS, album, medium_label, of_text, title};
use crate::feed::plain_text;
use crate::language::Language;
use crate::model::post::Post;

/// Returns the first visible line of the text as it is, or the default title if there is no text.
pub(in crate::feed) fn first_line(post: &Post, language: Language) -> String {
    let line = post.full_text().without_spoilers().lines().find_map(plain_text::visible_line);
    line.map_or_else(|| title(post, &[], language), |line| plain_text::cut(line, MAX_TITLE_CHARS))
}

/// Returns the default title behind the kind of the post: `Photo: Low tide`. A post with only text has no kind, and a
/// title that is not of the text needs none.
pub(in crate::feed) fn with_kind(post: &Post, signature_lines: &[String], language: Language) -> String {
    let words = &language.words().feed;
    let title = title(post, signature_lines, language);
    match kind(post, language).filter(|_| of_text(post, signature_lines, words).is_some()) {
        Some(kind) => plain_text::cut(format!("{kind}{}{title}", words.colon), MAX_TITLE_CHARS),
        None => title,
    }
}

fn kind(post: &Post, language: Language) -> Option<String> {
    let words = &language.words().feed;
    let medium = post.media.first().map(|medium| medium_label(medium, words));
    let poll = post.poll.as_ref().map(|_| words.poll);
    let document =
        post.documents.first().map(|document| if document.audio { words.music } else { words.file });
    album(post, language).or_else(|| medium.or(poll).or(document).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::model::post::{Document, Media};

    #[test]
    fn titles_are_the_first_line_or_have_the_kind() {
        let photo = Media::Photo { url: Some("x".into()), file: None, size: None, item: None };
        let text = Post { text: "#news\nLow tide, six in the morning".into(), ..fixtures::post() };
        let with_photo = Post { media: vec![photo.clone()], ..text.clone() };
        let album = Post { media: vec![photo.clone(); 3], ..text.clone() };
        let file =
            Document { name: "tides.pdf".into(), note: None, audio: false, caption: "".into(), item: None };
        let with_file = Post { documents: vec![file], ..text.clone() };
        let wordless = Post { text: "👇".into(), ..with_file.clone() };
        let only_photo = Post { media: vec![photo], ..fixtures::post() };
        assert_eq!(first_line(&text, Language::English), "#news");
        assert_eq!(first_line(&only_photo, Language::English), "Photo");
        for (post, expected) in [
            (&text, "Low tide, six in the morning"),
            (&with_photo, "Photo: Low tide, six in the morning"),
            (&album, "Album of 3: Low tide, six in the morning"),
            (&with_file, "File: Low tide, six in the morning"),
            (&wordless, "tides.pdf"),
            (&only_photo, "Photo"),
        ] {
            assert_eq!(with_kind(post, &[], Language::English), expected);
        }
    }
}
