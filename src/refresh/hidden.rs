//! Posts that the preview page does not show: their text is on their own page, or in their widget.

use crate::channel::Channel;
use crate::post::Post;
use crate::telegram::address::Which;
use crate::telegram::client::{Client, FetchError};
use crate::telegram::single;
use crate::text::RichText;
use crate::work;

/// Looks a post up. It comes back with what was found; as it was, when there is nothing to be had anywhere.
///
/// # Errors
///
/// When Telegram could not be asked: another time it may be.
pub(super) async fn look_up(client: &Client, channel: &Channel, post: &Post) -> Result<Post, FetchError> {
    let name = &channel.name;
    let label = post.only_in_telegram.clone().unwrap_or_default();
    let about = channel.about.text().to_owned();
    let html = page(client, channel, Which::Post(post.id)).await?;
    let described = move || single::description(&html, &[&about, &label]);
    if let Ok(Some(text)) = work::off_thread(described).await {
        return Ok(Post { text: RichText::from(text.as_str()), ..post.clone() });
    }
    let html = page(client, channel, Which::Widget(post.id)).await?;
    let (asked, id) = (name.clone(), post.id);
    let shown = work::off_thread(move || single::widget(&html, &asked, id)).await;
    Ok(match shown {
        Ok(Some(shown)) => Post { published: post.published, permalink: post.permalink.clone(), ..shown },
        _ => post.clone(),
    })
}

async fn page(client: &Client, channel: &Channel, which: Which) -> Result<String, FetchError> {
    let mut fetched = client.page(&channel.name, which).await?;
    let html = std::mem::take(&mut fetched.html);
    fetched.judge(true);
    Ok(html)
}
