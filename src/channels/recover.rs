//! Recovers posts that the preview page does not show ("Please open Telegram to view this post"): their text is on their
//! own page, their media in their widget.

use crate::cpu_pool;
use crate::model::channel::Channel;
use crate::model::post::{Post, PostId};
use crate::model::rich_text::RichText;
use crate::telegram::client::Client;
use crate::telegram::error::FetchError;
use crate::telegram::post_page;
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// Tries to recover a post's content from its own page or its widget. Returns it unchanged if neither has any.
///
/// # Errors
///
/// If Telegram could not be asked; another attempt may succeed.
pub(super) async fn recover(client: &Client, channel: &Channel, post: &Post) -> Result<Post, FetchError> {
    let label = post.only_in_telegram.clone().unwrap_or_default();
    let about = channel.about.text().to_owned();
    let html = fetch(client, channel, PageRequest::Post(post.id)).await?;
    let description = move || post_page::description(&html, &[&about, &label]);
    if let Ok(Some(text)) = cpu_pool::run(description).await {
        return Ok(Post { text: RichText::from(text.as_str()), ..post.clone() });
    }
    Ok(match fetch_widget(client, channel, post.id).await? {
        Some(shown) => Post { published: post.published, permalink: post.permalink.clone(), ..shown },
        None => post.clone(),
    })
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
    let html = fetch(client, channel, PageRequest::Widget(id)).await?;
    let name = channel.name.clone();
    let shown = cpu_pool::run(move || post_page::widget(&html, &name, id)).await;
    Ok(shown.ok().flatten())
}

async fn fetch(client: &Client, channel: &Channel, request: PageRequest) -> Result<String, FetchError> {
    let mut fetched = client.page(&channel.name, request, Priority::Low).await?;
    let html = std::mem::take(&mut fetched.html);
    fetched.report_validity(true);
    Ok(html)
}
