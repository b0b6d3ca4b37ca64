//! An article below the post that links to it.

use super::{html, media, rich_text};
use crate::feed::media_links::MediaLinks;
use crate::language::FeedWords;
use crate::model::article::LinkedArticle;
use crate::model::media_file::MediaSlot;

/// Writes an article: a line, its title with a link, its author and its text.
pub(super) fn write(out: &mut String, linked: &LinkedArticle, links: MediaLinks<'_>, words: &FeedWords) {
    let LinkedArticle { number, article } = linked;
    out.push_str("<hr>\n");
    html::block(out, "h2", |out| html::link(out, &article.title, Some(&article.url)));
    if let Some(author) = &article.author {
        html::block(out, "p", |out| html::link(out, &author.name, author.url.as_deref()));
    }
    let figures = |out: &mut String, n: usize, _: Option<&str>| {
        if let Some(medium) = article.media.get(n) {
            let slot = MediaSlot::Article { article: *number, medium: n };
            media::write(out, medium, &article.url, links.at(slot), words);
        }
    };
    rich_text::write(out, &article.text, &figures, words);
}
