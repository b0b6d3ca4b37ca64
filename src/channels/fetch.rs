//! Fetches and parses one preview page.

use std::collections::HashSet;

use crate::archive::FetchedPage;
use crate::cpu_pool;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::telegram::client::{Client, FetchedHtml};
use crate::telegram::error::PageError;
use crate::telegram::page::{self, PageSource, PreviewPage};
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

use super::{RefreshError, RejectedPages, unknown_markup};

/// The number of kinds of unknown markup that are logged for a page.
const MAX_LOGGED_KINDS: usize = 10;

/// The logged part of an element's classes.
const MAX_LOGGED_CHARS: usize = 200;

/// Fetches and parses a page of a channel. A page that should have been readable but is not is stored in
/// `rejected_pages`.
///
/// # Errors
///
/// See [`RefreshError`].
pub async fn fetch_page(
    client: &Client,
    name: &ChannelName,
    request: PageRequest<'_>,
    priority: Priority,
    rejected_pages: Option<&RejectedPages>,
) -> Result<PreviewPage, RefreshError> {
    // A page of older or found posts may truly be empty.
    let may_be_empty = matches!(request, PageRequest::Before(_) | PageRequest::Search(_));
    let is_end = |err: &PageError| may_be_empty && *err == PageError::RateLimited;
    // Hostile pages of a few channels must not pause the upstream for all others.
    let is_hostile = |err: &PageError| matches!(err, PageError::DomLimitExceeded | PageError::Unreadable(_));
    let is_valid = |page: &Result<_, PageError>| {
        page.as_ref().err().is_none_or(|err| err.is_authoritative() || is_end(err) || is_hostile(err))
    };
    let mut fetched = client.page(name, request, priority).await?;
    let mut page = parse(name, &mut fetched, rejected_pages).await?;
    if page == Err(PageError::NotTelegram)
        && let Some(Ok(mut other)) = client.page_from_another(&fetched, name, request, priority).await
    {
        fetched.report_validity(false);
        page = parse(name, &mut other, rejected_pages).await?;
        fetched = other;
    }
    fetched.report_validity(is_valid(&page));
    let page = page.map_err(RefreshError::Page)?;
    report_unparsed(name, &page);
    Ok(page)
}

/// Parses a fetched page off the I/O threads.
async fn parse(
    name: &ChannelName,
    fetched: &mut FetchedHtml<'_>,
    rejected_pages: Option<&RejectedPages>,
) -> Result<Result<PreviewPage, PageError>, RefreshError> {
    let html = std::mem::take(&mut fetched.html);
    let (n_bytes, asked, rejected_pages) = (html.len(), name.clone(), rejected_pages.cloned());
    let parse = move || {
        let page = page::parse(&html, PageSource::Fetched(&asked));
        if let (Err(PageError::NotTelegram | PageError::Unreadable(_)), Some(rejected_pages)) =
            (&page, rejected_pages)
        {
            rejected_pages.store(&asked, &html);
        }
        page
    };
    cpu_pool::run(n_bytes, parse).await.map_err(|err| {
        tracing::error!(channel = %name, error = %err, "the parser panicked");
        RefreshError::Internal
    })
}

/// Logs and counts what the parser did not understand, so that a change of Telegram's markup is noticed. Each kind is
/// logged once, with its first occurrence.
fn report_unparsed(name: &ChannelName, page: &PreviewPage) {
    let mut errors = HashSet::new();
    for skipped in &page.skipped {
        metrics::skipped_post();
        if errors.insert(skipped.error) {
            tracing::warn!(channel = %name, text = skipped.text, error = %skipped.error, "skipped a message that cannot be parsed");
        }
    }
    let mut kinds = HashSet::new();
    for (post, part) in
        page.snapshot.posts.iter().flat_map(|post| post.unknown.iter().map(move |part| (post, part)))
    {
        let markup: String = part.markup.chars().take(MAX_LOGGED_CHARS).collect();
        metrics::unknown_markup(&markup);
        unknown_markup::record(&markup, name, &post.permalink);
        if kinds.len() < MAX_LOGGED_KINDS && kinds.insert(markup.clone()) {
            tracing::warn!(channel = %name, post = %post.id, markup, is_partly_lost = part.more_than_text, "unknown markup; keeping its text");
        }
    }
}

/// Returns what the archive needs of a parsed page.
#[must_use]
pub fn to_archive(page: PreviewPage) -> FetchedPage {
    FetchedPage { is_complete: page.skipped.is_empty(), older: page.older, snapshot: page.snapshot }
}
