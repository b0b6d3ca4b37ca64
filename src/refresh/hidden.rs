//! Posts that the preview page does not show: their text is on their own page, or in their widget.

use crate::channel::Channel;
use crate::post::{Post, PostId};
use crate::telegram::address::Which;
use crate::telegram::client::{Client, FetchError, Line};
use crate::telegram::single;
use crate::text::RichText;
use crate::work;

/// Looks a post up. It comes back with what was found; as it was, when there is nothing to be had anywhere.
///
/// # Errors
///
/// When Telegram could not be asked: another time it may be.
pub(super) async fn look_up(client: &Client, channel: &Channel, post: &Post) -> Result<Post, FetchError> {
    let label = post.only_in_telegram.clone().unwrap_or_default();
    let about = channel.about.text().to_owned();
    let html = page(client, channel, Which::Post(post.id)).await?;
    let described = move || single::description(&html, &[&about, &label]);
    if let Ok(Some(text)) = work::off_thread(described).await {
        return Ok(Post { text: RichText::from(text.as_str()), ..post.clone() });
    }
    Ok(match widget(client, channel, post.id).await? {
        Some(shown) => Post { published: post.published, permalink: post.permalink.clone(), ..shown },
        None => post.clone(),
    })
}

/// A post as its widget shows it; `None` when that does not either.
///
/// # Errors
///
/// When Telegram could not be asked.
pub(super) async fn widget(
    client: &Client,
    channel: &Channel,
    id: PostId,
) -> Result<Option<Post>, FetchError> {
    let html = page(client, channel, Which::Widget(id)).await?;
    let name = channel.name.clone();
    let shown = work::off_thread(move || single::widget(&html, &name, id)).await;
    Ok(shown.ok().flatten())
}

async fn page(client: &Client, channel: &Channel, which: Which) -> Result<String, FetchError> {
    let mut fetched = client.page(&channel.name, which, Line::Known).await?;
    let html = std::mem::take(&mut fetched.html);
    fetched.judge(true);
    Ok(html)
}
