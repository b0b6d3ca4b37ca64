//! Parses the page and the widget of a single post, for posts that the preview page does not show.

use super::error::PageError;
use super::no_posts::meta;
use super::page::{self, PageSource};
use super::parser;
use crate::model::channel::ChannelName;
use crate::model::post::{Post, PostId};

/// Returns the text of a post from its own page, `t.me/NAME/ID`; Telegram truncates it near 1,000 characters.
///
/// `None` if it is not the page of a post, or if its text is one of `others`: the page of a missing post describes the
/// channel instead.
#[must_use]
pub fn description(html: &str, others: &[&str]) -> Option<String> {
    let document = parser::parse(html).ok()?;
    let root = document.root_element();
    let is_of_post = root.descendent_elements().any(|element| element.attr("data-telegram-post").is_some());
    let text = meta(root, "og:description").filter(|_| is_of_post)?.trim();
    let is_new = !text.is_empty() && others.iter().all(|other| other.trim() != text);
    is_new.then(|| text.to_owned())
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
        assert_eq!(
            description(&page(" A giveaway.\n\nJoin! ", of_post), &["About"]).unwrap(),
            "A giveaway.\n\nJoin!"
        );
        for (text, script) in [("About", of_post), ("", of_post), ("You can contact @sample", "")] {
            assert_eq!(description(&page(text, script), &["About "]), None, "{text}");
        }
    }
}
