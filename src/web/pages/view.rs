//! The query of a page of posts: the options of its feed, and the format that the builder chooses.

use axum::http::Uri;
use axum::response::Response;

use super::path_and_query;
use super::request::PageRequest;
use crate::feed::Format;
use crate::feed::options::{Choice, Count, EntryIds, FeedOptions, MediaChoice, Merge, OptionsError};
use crate::media::MediaMode;
use crate::web::canonical;
use crate::web::error::Error;
use crate::web::query;
use crate::web::state::AppState;

/// The posts of a page, unless its URL wants another number. A feed has all posts of 26 hours, which may be many.
const POSTS_PER_PAGE: u8 = 20;

/// The query of a page of posts.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) options: FeedOptions,
    /// The options of the feed without a query.
    pub(super) defaults: FeedOptions,
    pub(super) format: Option<Format>,
}

impl View {
    /// Parses the query of a page with the parser of its feed's options.
    pub(super) fn parse(
        query: &str,
        parse: impl Fn(&str) -> Result<FeedOptions, OptionsError>,
    ) -> Result<Self, Error> {
        let (mut format, mut others) = (None, url::form_urlencoded::Serializer::new(String::new()));
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "format" => format = Format::from_name(&value).filter(|format| *format != Format::Rss),
                query::LANGUAGE => {}
                _ => {
                    others.append_pair(&name, &value);
                }
            }
        }
        Ok(Self { options: parse(&others.finish())?, defaults: parse("")?, format })
    }

    /// Returns the canonical query, without the language.
    pub(super) fn query(&self) -> String {
        let format = self.format.map(|format| format!("format={}", format.name()));
        let parts = [Some(self.options.query_over(&self.defaults)).filter(|query| !query.is_empty()), format];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// Returns the relative path of the page that shows this.
    pub(super) fn path(&self, page: &str) -> String {
        let mut path = page.to_owned();
        query::append(&mut path, &self.query());
        path
    }

    /// Returns the options with which the page's posts are loaded.
    pub(super) fn options_of_posts(&self, state: &AppState, request: &PageRequest) -> FeedOptions {
        let mut options = for_people(self.options.clone(), state, request);
        if options.merge == Merge::None {
            options.limit.get_or_insert(POSTS_PER_PAGE);
        }
        options
    }
}

/// Returns the options of a feed as its posts are shown on a page.
pub(super) fn for_people(options: FeedOptions, state: &AppState, request: &PageRequest) -> FeedOptions {
    FeedOptions {
        // Our own words in posts are in the page's language, which the page's links keep apart from the options.
        language: request.language,
        default_language: request.language,
        // Unlike a feed, a page may change all the time.
        show: Count::ALL.iter().map(|(_, count)| *count).collect(),
        has_page_counts: true,
        ids: EntryIds::default(),
        media: media_of_pages(state),
        ..options
    }
}

/// Returns how pages show media: without `--media proxy` they link them instead of loading them from elsewhere.
pub(super) fn media_of_pages(state: &AppState) -> MediaChoice {
    if state.config.media_mode == MediaMode::Proxy { MediaChoice::Auto } else { MediaChoice::None }
}

/// Returns the redirect from the URL that a form has made to the canonical one, whose path is relative to the home page;
/// `None` if it is not needed.
pub(super) fn canonical_redirect(uri: &Uri, request: &PageRequest, path: &str) -> Option<Response> {
    let query = uri.query().unwrap_or_default();
    let is_of_form = query.contains("=&") || query.ends_with('=') || query.contains("format=rss");
    let link = &request.link(path)[request.root.len()..];
    // The canonical query may have empty values too: those that replace the options of a bundle.
    (is_of_form && link != path_and_query(uri)).then(|| canonical::see_other(uri.path(), link))
}
