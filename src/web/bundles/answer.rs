//! The feeds of bundles over HTTP.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::{Bundle, BundleName, Bundles};
use crate::feed::Format;
use crate::feed::compat::quoted;
use crate::feed::options::{FeedOptions, OptionsError};
use crate::language::Language;
use crate::web::canonical;
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::middleware::access::BUNDLE_PATH;
use crate::web::pages;
use crate::web::several_channels::{self, Group};
use crate::web::state::AppState;

impl Bundle {
    /// Parses the query of a URL of this bundle.
    fn parse(&self, query: &str, language: Language) -> Result<FeedOptions, OptionsError> {
        FeedOptions::parse_over(&self.options.query, query, language)
    }

    /// Returns what a feed of this bundle consists of.
    pub(in crate::web) fn group(&self, name: &BundleName, language: Language) -> Group {
        Group {
            path: Self::path(name),
            names: self.channels.0.clone(),
            title: self.title.clone(),
            defaults: self.parse("", language).unwrap_or_default(),
            edition: Some(self.edition()),
        }
    }
}

/// Answers the URLs of bundles. The path follows [`BUNDLE_PATH`].
pub(in crate::web) async fn answer(
    state: &Arc<AppState>,
    path: &str,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let (typed, format) = match canonical::split_format(path) {
        Some((typed, format)) => (typed, Some(format)),
        None => (path.trim_matches('/'), None),
    };
    let bundles = state.bundles();
    let (name, bundle) = find(&bundles, typed)?;
    let language = state.config.language;
    let page_path = Bundle::path(name);
    let canonical_path =
        format.map_or_else(|| page_path.clone(), |format| format!("{page_path}/{}", format.name()));
    if uri.path() != canonical_path {
        return Ok(canonical::redirect(uri.path(), &canonical_path, context.query.as_deref()));
    }
    let group = bundle.group(name, language);
    let Some(format) = format else {
        if let Some(redirect) = pages::with_token_in_path(context, uri, pages::path_and_query(uri)) {
            return Ok(redirect);
        }
        let parse = |query: &str| bundle.parse(query, language);
        return pages::several::answer(state, context, &group, parse, uri, headers).await;
    };
    let options = bundle.parse(uri.query().unwrap_or_default(), language)?;
    several_channels::feed(state, &group, format, options, context, headers).await
}

fn find<'a>(bundles: &'a Bundles, typed: &str) -> Result<(&'a BundleName, &'a Bundle), Error> {
    let known = typed.to_ascii_lowercase().parse().ok().and_then(|name| bundles.get_key_value(&name));
    known.ok_or_else(|| Error::UnknownBundle(quoted(typed)))
}

/// Returns what a feed of a bundle consists of.
pub(in crate::web) fn group(bundles: &Bundles, typed: &str, language: Language) -> Result<Group, Error> {
    find(bundles, typed).map(|(name, bundle)| bundle.group(name, language))
}

/// Returns the key of a bundle's feed in the cache by its canonical path; `None` if there is no such feed.
pub(in crate::web) fn feed_key(state: &AppState, path: &str, query: &str) -> Option<String> {
    let (name, format) = path.strip_prefix(BUNDLE_PATH)?.split_once('/')?;
    Format::from_name(format)?;
    let (name, bundles) = (name.parse().ok()?, state.bundles());
    let bundle = bundles.get(&name)?;
    let options = bundle.parse(query, state.config.language).ok()?;
    Some(several_channels::feed_key(path, &options, Some(bundle.edition())))
}
