//! Recovers posts that the preview page does not show ("Please open Telegram to view this post") from their own page and
//! their widget.

use tokio::task::JoinError;

use crate::cpu_pool;
use crate::model::channel::Channel;
use crate::model::post::{Post, PostId};
use crate::model::rich_text::RichText;
use crate::telegram::client::Client;
use crate::telegram::error::FetchError;
use crate::telegram::post_page;
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// Tries to recover a post's content. The widget has its media and the whole text, its own page the beginning of the
/// text without formatting. Returns it unchanged if neither has any.
///
/// # Errors
///
/// If Telegram could not be asked; another attempt may succeed.
pub(super) async fn recover(client: &Client, channel: &Channel, post: &Post) -> Result<Post, FetchError> {
    let described = fetch_description(client, channel, post).await;
    let shown = fetch_widget(client, channel, post.id).await;
    match (described, shown) {
        (described, Ok(Some(shown))) => {
            let described = described.ok().flatten().filter(|_| shown.full_text().is_empty());
            let (permalink, published) = (post.permalink.clone(), post.published);
            let text = described.unwrap_or_else(|| shown.text.clone());
            Ok(Post { permalink, published, text, ..shown })
        }
        (Ok(Some(text)), _) => Ok(Post { text, ..post.clone() }),
        (Err(err), _) | (_, Err(err)) => Err(err),
        (Ok(None), Ok(None)) => Ok(post.clone()),
    }
}

/// Fetches the text of a post from its own page; `None` if it is not there.
async fn fetch_description(
    client: &Client,
    channel: &Channel,
    post: &Post,
) -> Result<Option<RichText>, FetchError> {
    let label = post.only_in_telegram.clone().unwrap_or_default();
    let (about, name) = (channel.about.text().to_owned(), channel.name.clone());
    let mut fetched = client.page(&channel.name, PageRequest::Post(post.id), Priority::Low).await?;
    let html = std::mem::take(&mut fetched.html);
    // Any page with a description looks like Telegram's.
    fetched.report_validity(true);
    let text =
        cpu_pool::run(html.len(), move || post_page::description(&html, &name, &[&about, &label])).await;
    Ok(text.inspect_err(|err| log_panic(channel, post.id, err)).ok().flatten())
}

/// Fetches a post as its widget shows it; `None` if the widget does not show it either.
///
/// # Errors
///
/// If Telegram could not be asked.
pub(crate) async fn fetch_widget(
    client: &Client,
    channel: &Channel,
    id: PostId,
) -> Result<Option<Post>, FetchError> {
    let mut fetched = client.page(&channel.name, PageRequest::Widget(id), Priority::Low).await?;
    let (html, name) = (std::mem::take(&mut fetched.html), channel.name.clone());
    let shown = cpu_pool::run(html.len(), move || post_page::widget(&html, &name, id)).await;
    // A parser that panicked says nothing about the upstream.
    let shown = shown.inspect_err(|err| log_panic(channel, id, err)).unwrap_or(Ok(None));
    fetched.report_validity(shown.is_ok());
    Ok(shown?)
}

fn log_panic(channel: &Channel, post: PostId, err: &JoinError) {
    tracing::error!(channel = %channel.name, post = %post, error = %err, "the parser of a post's page panicked");
}
