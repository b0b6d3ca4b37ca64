//! The parameters that a URL has besides the options of a feed: the language of a page, and a token.

use crate::language::Language;

/// The parameter of a page's URL that names its language.
pub(super) const LANGUAGE: &str = "lang";

/// The parameter with a token.
pub(super) const TOKEN: &str = "token";

/// Returns a query without the parameters of these names. The others keep their spelling.
pub(super) fn without(query: &str, names: &[&str]) -> String {
    let is_left_out = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        names.contains(&name)
    };
    query.split('&').filter(|pair| !is_left_out(pair)).collect::<Vec<_>>().join("&")
}

/// Returns the query of a page in a language.
pub(super) fn in_language(language: Language) -> String {
    format!("{LANGUAGE}={}", language.subtag())
}

/// Adds a query to a URL that may have one. An empty one changes nothing.
pub(super) fn append(url: &mut String, query: &str) {
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(query);
    }
}
