//! Parses the page and the widget of a single post, for posts that the preview page does not show.

use super::error::PageError;
use super::no_posts::meta;
use super::page::{self, PageSource};
use super::parser;
use super::url;
use crate::model::channel::ChannelName;
use crate::model::post::{Post, PostId};
use crate::model::rich_text::{EntityKind, RichText};

/// Returns the text of a post of the channel from its own page, `t.me/NAME/ID`, with links for URLs and hashtags. Telegram
/// truncates it near 1,000 characters.
///
/// `None` if it is not the page of a post, or if its text is one of `others`: the page of a missing post describes the
/// channel instead.
#[must_use]
pub fn description(html: &str, name: &ChannelName, others: &[&str]) -> Option<RichText> {
    let document = parser::parse(html).ok()?;
    let root = document.root_element();
    let is_of_post = root.descendent_elements().any(|element| element.attr("data-telegram-post").is_some());
    let text = meta(root, "og:description").filter(|_| is_of_post)?.trim();
    let is_new = !text.is_empty() && others.iter().all(|other| other.trim() != text);
    is_new.then(|| with_links(text, name))
}

/// Adds links to the URLs and hashtags of a plain text, as the preview page has them.
fn with_links(text: &str, name: &ChannelName) -> RichText {
    let mut rich = RichText::default();
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let (label, kind) = match word.strip_prefix('#') {
            Some(tag) => {
                let end = tag.find(|c: char| !is_in_tag(c)).map_or(word.len(), |end| end + 1);
                let label = &word[..end];
                let is_tag = label[1..].chars().any(|c| !c.is_numeric());
                (label, is_tag.then(|| EntityKind::Hashtag(url::search_url(name, label).into())))
            }
            None if word.starts_with("https://") || word.starts_with("http://") => {
                let label = url_of(word);
                // Telegram may have truncated the text in a URL.
                let url = url::resolve(label, name.as_str()).filter(|_| !word.ends_with('…'));
                (label, url.map(|url| EntityKind::Link(url.into())))
            }
            None => (word, None),
        };
        match kind {
            Some(kind) => {
                rich.entity(kind, |rich| rich.push_str(label));
                rich.push_str(&piece[label.len()..]);
            }
            None => rich.push_str(piece),
        }
    }
    rich
}

fn is_in_tag(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '\u{200c}')
}

/// Returns the URL that a word begins with: without a closing quote, and without the punctuation of the sentence.
fn url_of(word: &str) -> &str {
    let is_outside = |c: char| {
        matches!(
            c,
            '"' | '»' | '”' | '’' | '<' | '>' | '，' | '。' | '、' | '；' | '！' | '？' | '）' | '」' | '》'
        )
    };
    let url = word.split(is_outside).next().unwrap_or_default();
    let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']);
    if url.contains('(') { url } else { url.trim_end_matches(')') }
}

/// Returns a post from its widget, `t.me/NAME/ID?embed=1`. `None` if the widget does not show it either.
///
/// # Errors
///
/// [`PageError::NotTelegram`] if this is another page, which something on the way may have sent.
pub fn widget(html: &str, name: &ChannelName, id: PostId) -> Result<Option<Post>, PageError> {
    match page::parse(html, PageSource::Saved(Some(name))) {
        Ok(page) => {
            let mut posts = page.snapshot.posts.into_iter();
            Ok(posts.find(|post| post.id == id && post.only_in_telegram.is_none()))
        }
        Err(PageError::NotTelegram) => Err(PageError::NotTelegram),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_is_read_only_from_a_page_of_a_post() {
        let page = |description: &str, script: &str| {
            format!(
                "<html><head><meta property=\"og:description\" content=\"{description}\"></head>\
                 <body><script async {script}></script></body></html>"
            )
        };
        let of_post = "data-telegram-post=\"sample/7\"";
        let name = ChannelName::new("sample").unwrap();
        assert_eq!(
            description(&page(" A giveaway.\n\nJoin! ", of_post), &name, &["About"]).unwrap(),
            RichText::from("A giveaway.\n\nJoin!")
        );
        for (text, script) in [("About", of_post), ("", of_post), ("You can contact @sample", "")] {
            assert_eq!(description(&page(text, script), &name, &["About "]), None, "{text}");
        }
    }

    #[test]
    fn urls_and_hashtags_of_a_plain_text_become_links() {
        let text = "See https://e.example/x?a=1&b=2, #tide_2 #прилив» #1 #a-b https://e.example/A_(b) https://e.exam…";
        let rich = with_links(text, &ChannelName::new("sample").unwrap());
        assert_eq!(rich.text(), text);
        let linked = rich.entities().iter().map(|entity| match &entity.kind {
            EntityKind::Link(url) | EntityKind::Hashtag(url) => (&text[entity.start..entity.end], &**url),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            linked.collect::<Vec<_>>(),
            [
                ("https://e.example/x?a=1&b=2", "https://e.example/x?a=1&b=2"),
                ("#tide_2", "https://t.me/s/sample?q=%23tide_2"),
                ("#прилив", "https://t.me/s/sample?q=%23%D0%BF%D1%80%D0%B8%D0%BB%D0%B8%D0%B2"),
                ("#a", "https://t.me/s/sample?q=%23a"),
                ("https://e.example/A_(b)", "https://e.example/A_(b)"),
            ]
        );
    }
}
