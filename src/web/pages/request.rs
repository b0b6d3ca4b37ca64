//! The inputs of a page besides its content: the language, and its place among the URLs.

use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::{HeaderMap, Method, Request, Uri};
use maud::{Markup, html};
use percent_encoding::percent_decode_str;

use super::{path_and_query, path_with_token};
use crate::language::{Language, PageWords};
use crate::web::canonical;
use crate::web::error::is_browser;
use crate::web::middleware::access::may_follow_token;
use crate::web::query;
use crate::web::state::AppState;

/// The most levels of a path whose page finds its files. The page of an error may have any path, and its links repeat `../` for
/// each level, so a longer path would make a page of megabytes.
const MAX_LEVELS: usize = 512;

/// The longest query or text that a page repeats.
pub(super) const MAX_QUERY_BYTES: usize = 2048;

/// A request for a page.
#[derive(Clone, Debug)]
pub(in crate::web) struct PageRequest {
    /// The language of the page.
    pub(in crate::web) language: Language,
    /// The language in the URL, which the links of the page keep.
    pub(in crate::web) chosen_language: Option<Language>,
    /// How relative URLs of the service begin: `../` for each level of this page's path. They keep a token in the path and
    /// the path of the base URL.
    pub(in crate::web) root: String,
    /// The service needs a token, so a page must not be stored.
    pub(in crate::web) is_private: bool,
    /// The client prefers HTML.
    pub(super) is_browser: bool,
    /// The page can be requested again, in another language. The page of a sent form cannot.
    pub(super) is_repeatable: bool,
    /// The path of this page with the token before it, if the client has sent it in the query.
    pub(super) path_with_token: Option<String>,
    /// The other parameters of the URL, encoded.
    query: String,
    /// The URL.
    pub(super) uri: Uri,
}

impl PageRequest {
    /// Returns what an HTTP request, whose token is removed, says about the page of an error. `sent` is its query with the token.
    pub(in crate::web) fn of<B>(state: &AppState, request: &Request<B>, sent: Option<&str>) -> Self {
        let uri = request.uri();
        let is_repeatable = matches!(*request.method(), Method::GET | Method::HEAD);
        let path_with_token = path_with_token(sent, uri, path_and_query(uri))
            .filter(|_| is_repeatable && may_follow_token(uri.path()));
        Self { is_repeatable, path_with_token, ..Self::new(state, request.headers(), uri) }
    }

    /// Returns the request for the page at this URI, which has no token.
    pub(in crate::web) fn new(state: &AppState, headers: &HeaderMap, uri: &Uri) -> Self {
        Self::with(headers, uri, state.config.language, state.access.has_tokens())
    }

    pub(super) fn with(headers: &HeaderMap, uri: &Uri, default_language: Language, is_private: bool) -> Self {
        let query = uri.query().unwrap_or_default();
        let (mut chosen_language, mut others) = (None, url::form_urlencoded::Serializer::new(String::new()));
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if name == query::LANGUAGE {
                chosen_language = Language::from_subtag(&value);
            // The request of an error may still have the token.
            } else if name != query::TOKEN && !canonical::is_only_tracking(&name) {
                others.append_pair(&name, &value);
            }
        }
        let n_up = uri.path().matches('/').count().saturating_sub(1);
        Self {
            language: chosen_language.or_else(|| preferred(headers)).unwrap_or(default_language),
            chosen_language,
            root: "../".repeat(n_up.min(MAX_LEVELS)),
            is_private,
            is_browser: is_browser(headers),
            is_repeatable: true,
            path_with_token: None,
            query: Some(others.finish()).filter(|query| query.len() <= MAX_QUERY_BYTES).unwrap_or_default(),
            uri: uri.clone(),
        }
    }

    /// Returns the request with the canonical query of the page. A page that is cached for others must not have what they did
    /// not ask for.
    pub(super) fn with_query(self, query: String) -> Self {
        Self { query, ..self }
    }

    /// Returns the channel names that were requested, from the form or from the path.
    pub(super) fn typed(&self) -> Option<String> {
        let query = self.uri.query().unwrap_or_default();
        let mut in_form = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "channel");
        let in_path = || {
            let path = self.uri.path().trim_matches('/');
            let path = canonical::split_format(path).map_or(path, |(channels, _)| channels);
            let is_post = |post: &str| post.bytes().all(|byte| byte.is_ascii_digit());
            let path =
                path.rsplit_once('/').filter(|(_, post)| is_post(post)).map_or(path, |(channel, _)| channel);
            let is_service = path.is_empty() || path.starts_with('-') || path.contains('/');
            (!is_service).then(|| percent_decode_str(path).decode_utf8_lossy())
        };
        let typed = in_form.next().map(|(_, typed)| typed).or_else(in_path)?;
        (typed.len() <= MAX_QUERY_BYTES).then(|| typed.into_owned())
    }

    /// Returns the words of the page.
    pub(in crate::web) fn words(&self) -> &'static PageWords {
        &self.language.words().page
    }

    /// Returns the relative URL of this page in another language.
    pub(super) fn in_language(&self, language: Language) -> String {
        let mut link = String::new();
        query::append(&mut link, &self.query);
        query::append(&mut link, &query::in_language(language));
        link
    }

    /// Returns the relative URL of the home page, for forms.
    pub(super) fn home(&self) -> &str {
        if self.root.is_empty() { "./" } else { &self.root }
    }

    /// Returns the part of a form that keeps the chosen language.
    pub(super) fn language_field(&self) -> Markup {
        html! {
            @if let Some(language) = self.chosen_language {
                input type="hidden" name=(query::LANGUAGE) value=(language.subtag());
            }
        }
    }

    /// Returns the relative URL of another page of the service, in the chosen language. The path has no leading slash, and
    /// may have a query.
    pub(super) fn link(&self, path: &str) -> String {
        let mut link = format!("{}{path}", self.root);
        if link.is_empty() {
            "./".clone_into(&mut link);
        }
        if let Some(language) = self.chosen_language {
            query::append(&mut link, &query::in_language(language));
        }
        link
    }
}

/// Returns the language that a client prefers of those that pages have (RFC 9110, section 12.5.4); `None` if it wants
/// none of them.
fn preferred(headers: &HeaderMap) -> Option<Language> {
    let lists = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|list| list.to_str().ok());
    let ranges = lists.flat_map(|list| list.split(',')).filter_map(|range| {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight =
            parameters.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
        let language = Language::from_subtag(tag.trim().split('-').next()?)?;
        (weight > 0.0).then_some((language, weight))
    });
    // Of equal weights, the first counts.
    let best = ranges.reduce(|best, range| if range.1 > best.1 { range } else { best });
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn language_is_the_one_with_the_highest_weight() {
        for (accepted, language) in [
            ("", None),
            ("de, fr;q=0.5", None),
            ("ru", Some(Language::Russian)),
            ("de-DE, fa-IR;q=0.8, en;q=0.5", Some(Language::Persian)),
            ("en;q=0.2, zh-Hans-CN;q=0.9", Some(Language::Chinese)),
            ("RU;q=0, zh", Some(Language::Chinese)),
            ("ru;q=x, zh;q=0.1", Some(Language::Chinese)),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(accepted))]);
            assert_eq!(preferred(&headers), language, "{accepted}");
        }
    }

    #[test]
    fn links_are_relative_and_keep_the_chosen_language() {
        let request =
            |uri| PageRequest::with(&HeaderMap::new(), &Uri::from_static(uri), Language::English, false);
        assert_eq!(request("/").link("durov"), "durov");
        assert_eq!(request("/durov/12?lang=ru").link("durov?limit=5"), "../durov?limit=5&lang=ru");
        let page = request("/durov?q=low+tide&lang=fa");
        assert_eq!(page.in_language(Language::English), "?q=low+tide&lang=en");
        assert_eq!(request("/").in_language(Language::Russian), "?lang=ru");
    }
}
