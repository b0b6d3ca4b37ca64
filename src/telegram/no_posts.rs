//! Classifies pages without posts.
//!
//! Telegram answers almost everything with status 200 or a redirect, so the reason is only in the page itself.

use scraper::{ElementRef, Html};

use super::dom;
use super::error::{PageError, excerpt};
use super::markup as class;

/// Returns why a page has no messages.
pub(super) fn classify(html: &Html) -> PageError {
    let root = html.root_element();
    let find = |class| dom::first(root, class);
    let text = |class| find(class).and_then(dom::line);
    if let Some(error) = text(class::WIDGET_ERROR) {
        return if error == "Post not found" {
            PageError::PostNotFound
        } else {
            PageError::Blocked(excerpt(&error))
        };
    }
    if let Some(info) = find(class::CHANNEL_INFO) {
        let n_unknown = unknown_messages(root);
        if n_unknown > 0 {
            return PageError::Unreadable(n_unknown);
        }
        return preview_without_posts(info, find(class::OLDER).is_some());
    }
    if find(class::NO_POSTS).is_some() {
        return PageError::RateLimited;
    }
    if find(class::POST_PAGE).is_some() {
        return PageError::SinglePost;
    }
    if let Some(landing) = landing(root) {
        return landing;
    }
    if title(root).is_some_and(|title| title == "Telegram Messenger") && has_class_prefix(root, "tl_main") {
        return PageError::InvalidName;
    }
    PageError::NotTelegram
}

/// Returns how many elements of the list of posts are neither messages nor its known other parts: Telegram may have renamed
/// the class of messages.
fn unknown_messages(root: ElementRef<'_>) -> usize {
    let children = dom::first(root, class::HISTORY).into_iter().flat_map(|history| history.child_elements());
    let is_known = |child: &ElementRef<'_>| {
        [class::NO_POSTS, class::OLDER]
            .iter()
            .any(|class| dom::has_class(*child, class) || dom::first(*child, class).is_some())
    };
    children.filter(|child| !is_known(child) && dom::line(*child).is_some()).count()
}

/// Classifies a preview page without posts. The page of an empty channel has only a counter of subscribers; counters of
/// photos or links mean that there are posts that the page does not show.
fn preview_without_posts(info: ElementRef<'_>, has_older: bool) -> PageError {
    let kinds = dom::all(info, class::COUNTER_TYPE).filter_map(dom::line);
    let counts_posts = kinds.into_iter().any(|kind| !is_audience(&kind));
    if counts_posts || has_older { PageError::RateLimited } else { PageError::Empty }
}

fn is_audience(word: &str) -> bool {
    word.starts_with("subscriber") || word.starts_with("member")
}

/// Classifies the landing page `t.me/NAME`. The order of the checks matters: it separates all captured pages.
fn landing(root: ElementRef<'_>) -> Option<PageError> {
    let action = dom::first(root, class::LANDING_ACTION)?;
    let label = dom::line(action).unwrap_or_default();
    let name = dom::first(root, class::LANDING_TITLE).and_then(dom::line);
    let extras: Vec<String> = dom::all(root, class::LANDING_EXTRA).filter_map(dom::line).collect();
    let extra = |what: fn(&str) -> bool| extras.iter().any(|extra| what(extra));
    let app_link = meta(root, "al:ios:url").unwrap_or_default();

    Some(if app_link.contains("invite=") || label.starts_with("Join ") {
        PageError::Invite
    } else if extra(|extra| extra.split(' ').any(|word| word.starts_with("subscriber"))) {
        // A landing page that links to the preview should not have been returned in its place: rate limiting.
        let offers_preview = dom::first(root, class::LANDING_PREVIEW).is_some();
        if offers_preview { PageError::RateLimited } else { PageError::PreviewOff }
    } else if extra(|extra| extra.contains(" member")) {
        PageError::Group
    } else if label == "Start Bot" || extra(is_of_a_bot) {
        PageError::Bot
    } else if name.is_some() {
        if label == "Send Message" { PageError::User } else { PageError::PreviewOff }
    } else if label == "View Post" {
        PageError::Blocked(excerpt(
            &dom::first(root, class::LANDING_ABOUT).and_then(dom::line).unwrap_or_default(),
        ))
    } else {
        PageError::NotFound
    })
}

/// Returns whether a line below the title belongs to a bot: only bots count users or have names that end in `bot`.
fn is_of_a_bot(extra: &str) -> bool {
    extra.contains("monthly user") || (extra.starts_with('@') && extra.to_ascii_lowercase().ends_with("bot"))
}

/// Returns the content of the `<meta>` element with this name or property.
pub(super) fn meta<'a>(root: ElementRef<'a>, name: &str) -> Option<&'a str> {
    root.descendent_elements()
        .filter(|element| element.value().name() == "meta")
        .find(|meta| meta.attr("property").or_else(|| meta.attr("name")) == Some(name))
        .and_then(|meta| meta.attr("content"))
}

fn title(root: ElementRef<'_>) -> Option<String> {
    dom::first_tag(root, "title").and_then(dom::line)
}

fn has_class_prefix(root: ElementRef<'_>, prefix: &str) -> bool {
    root.descendent_elements().any(|element| dom::classes(element).any(|class| class.starts_with(prefix)))
}
