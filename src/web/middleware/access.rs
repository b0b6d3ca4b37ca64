//! Access control: tokens and rate limits, checked before a request is handled.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use headers::HeaderMapExt;
use headers::authorization::{Authorization, Basic, Bearer};
use md5::Md5;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::forwarded::is_forwarded;
use super::rate_limit::{ClientRate, RateLimit};
use crate::feed::compat;
use crate::media::signed_url;
use crate::web::error::Error;
use crate::web::query;

pub(in crate::web) const LIVENESS_PATH: &str = "/-/healthz";

pub(in crate::web) const READINESS_PATH: &str = "/-/readyz";

pub(in crate::web) const OPML_PATH: &str = "/-/opml";

/// The stylesheet of feeds, relative to their URLs, which all have the same depth except those of bundles.
pub(in crate::web) const FEED_STYLESHEET_PATHS: [&str; 2] = ["/-/feed.css", "/-/bundle/-/feed.css"];

/// The path prefix of the files that pages load.
pub(in crate::web) const ASSETS_PREFIX: &str = "/-/assets/";

/// The path prefix of bundles.
pub(in crate::web) const BUNDLE_PATH: &str = "/-/bundle/";

pub(in crate::web) const STATUS_PATH: &str = "/-/status";

pub(in crate::web) const STATUS_JSON_PATH: &str = "/-/status.json";

/// The path prefix before a token: `/-/token/SECRET/durov/rss`.
pub(in crate::web) const TOKEN_PREFIX: &str = "/-/token/";

/// The shortest token, in characters.
const MIN_TOKEN_CHARS: usize = 16;

/// Secrets that give access.
#[derive(Clone)]
pub struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    hash: [u8; 32],
    /// RSSHub's access codes are hashes of the path and this.
    secret: String,
}

impl FromStr for Tokens {
    type Err = String;

    /// Parses a comma-separated list of tokens.
    fn from_str(list: &str) -> Result<Self, String> {
        let token = |token: &str| {
            let token = token.trim();
            let token_of = || Token { hash: Sha256::digest(token).into(), secret: token.to_owned() };
            (token.len() >= MIN_TOKEN_CHARS).then(token_of).ok_or_else(|| {
                format!("must have at least {MIN_TOKEN_CHARS} characters; generate one with `openssl rand -hex 16`")
            })
        };
        list.split(',').map(token).collect::<Result<_, _>>().map(Self)
    }
}

impl Tokens {
    /// Returns whether this is one of the tokens, in constant time.
    #[must_use]
    pub fn contain(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        let is_any = |found: Choice, token: &Token| found | token.hash.ct_eq(&given);
        self.0.iter().fold(Choice::from(0), is_any).into()
    }

    /// Returns whether this is RSSHub's access code of one of the tokens for a path: the MD5 hash of both in hexadecimal
    /// digits.
    fn have_code(&self, path: &str, given: &str) -> bool {
        let code = |token: &Token| {
            let hash = Md5::new().chain_update(path).chain_update(&token.secret).finalize();
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let is_any = |found: Choice, token: &Token| found | code(token).as_bytes().ct_eq(given.as_bytes());
        self.0.iter().fold(Choice::from(0), is_any).into()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

/// Who may read, and how often.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Tokens, of which a request needs one; everybody may read if absent.
    pub tokens: Option<Tokens>,
    /// Tokens of administrators, who also get the status page and the list of all channels. If absent, there are no
    /// administrators.
    pub admin_tokens: Option<Tokens>,
    /// The rate limit per client; unlimited if absent.
    pub client_rate: Option<ClientRate>,
}

/// Checks tokens and rate limits.
pub(in crate::web) struct Access {
    tokens: Option<Tokens>,
    admin_tokens: Option<Tokens>,
    rate_limit: Option<RateLimit>,
}

/// The proof of a client that may read.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorized {
    /// The token in the path, if the service needs one and it is not an administrator's.
    pub(super) path_token: Option<String>,
    /// The token is an administrator's.
    pub(super) is_admin: bool,
}

impl Access {
    pub(in crate::web) fn new(config: AccessConfig) -> Self {
        let AccessConfig { tokens, admin_tokens, client_rate } = config;
        Self { tokens, admin_tokens, rate_limit: client_rate.map(RateLimit::new) }
    }

    /// Returns whether requests need a token.
    pub(in crate::web) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Returns whether a token may be needed, for a feed or for what concerns all channels.
    pub(in crate::web) fn has_any_tokens(&self) -> bool {
        self.has_tokens() || self.has_admin_tokens()
    }

    /// Returns whether there are tokens for administrators.
    pub(in crate::web) fn has_admin_tokens(&self) -> bool {
        self.admin_tokens.is_some()
    }

    /// Returns whether this is one of the tokens.
    pub(in crate::web) fn is_token(&self, given: &str) -> bool {
        [&self.tokens, &self.admin_tokens].into_iter().flatten().any(|tokens| tokens.contain(given))
    }

    /// Returns whether a request has RSSHub's access code for its path, as it was sent or decoded.
    pub(in crate::web) fn has_code(&self, uri: &Uri) -> bool {
        let Some(tokens) = &self.tokens else { return false };
        let is_good =
            |code: &str| tokens.have_code(uri.path(), code) || tokens.have_code(&decode(uri.path()), code);
        compat::access_code(uri.path(), query(uri)).is_some_and(|code| is_good(&code))
    }

    /// Removes clients that have not sent requests for a while.
    pub(in crate::web) fn run_upkeep(&self) {
        if let Some(rate_limit) = &self.rate_limit {
            rate_limit.run_upkeep();
        }
    }

    /// Removes the token from the request, and checks the rate limit and the token.
    ///
    /// Health probes cannot send a token and are frequent, so they bypass authentication and rate limiting. So do the files
    /// that pages load: they are not secret, and the page of an error needs them too. Media URLs need no token either: they are
    /// signed.
    pub(super) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
        client: IpAddr,
    ) -> Result<Authorized, Error> {
        if [LIVENESS_PATH, READINESS_PATH].contains(&request.uri().path()) {
            return Ok(Authorized::default());
        }
        // Feeds must not depend on which token was used, and pages show none. A token that is not needed is ignored.
        let path_token = take_from_path(request);
        let in_url = path_token.clone().or_else(|| take_from_query(request));
        let path = request.uri().path();
        if path.starts_with(ASSETS_PREFIX) || FEED_STYLESHEET_PATHS.contains(&path) {
            return Ok(Authorized::default());
        }
        // Clients behind a proxy on this machine that is not trusted would share one limit.
        let is_local = || peer.is_loopback() && !is_forwarded(request.headers());
        if let Some(rate_limit) = self.rate_limit.as_ref().filter(|_| !is_local()) {
            rate_limit.check(client)?;
        }
        if request.uri().path().starts_with(signed_url::PATH_PREFIX) {
            return Ok(Authorized::default());
        }
        if self.tokens.is_none() && self.admin_tokens.is_none() {
            return Ok(Authorized::default());
        }
        let of_bridge = || compat::token(request.uri().path(), query(request.uri()));
        let given = in_url.or_else(|| from_header(request.headers())).or_else(of_bridge);
        let is_admin = given
            .as_ref()
            .zip(self.admin_tokens.as_ref())
            .is_some_and(|(given, tokens)| tokens.contain(given));
        if is_admin || self.tokens.is_none() {
            return Ok(Authorized { path_token: None, is_admin });
        }
        match given {
            Some(given) if self.is_token(&given) => Ok(Authorized { path_token, is_admin }),
            None if self.has_code(request.uri()) => Ok(Authorized::default()),
            Some(_) => Err(Error::InvalidToken),
            None => Err(Error::MissingToken),
        }
    }
}

/// Returns the token of a query as it was sent.
fn sent_token(query: &str) -> Option<&str> {
    query.split('&').find_map(|parameter| parameter.strip_prefix(query::TOKEN)?.strip_prefix('='))
}

/// Returns the token of a query as a segment of a path.
pub(in crate::web) fn token_in_query(query: &str) -> Option<String> {
    let token = sent_token(query)?;
    // A path ends a token at the first slash.
    Some(token.replace('/', "%2F").replace('?', "%3F"))
}

/// Replaces `public` by `private`, so that shared caches do not give one reader's answer to others.
pub(super) fn make_private(response: &mut HeaderMap) {
    let Some(value) = response.get(CACHE_CONTROL) else { return };
    let private = value.to_str().unwrap_or_default().replace("public", "private");
    let private = HeaderValue::try_from(private).unwrap_or(HeaderValue::from_static("private"));
    response.insert(CACHE_CONTROL, private);
}

/// Returns whether the URL of a path may have a token before the path: only those of channels and the pages about them.
/// Otherwise `/-/token/…/-/metrics` would bypass a proxy rule that hides `/-/metrics`.
pub(in crate::web) fn may_follow_token(path: &str) -> bool {
    !path.starts_with("/-/")
        || [OPML_PATH, STATUS_PATH, STATUS_JSON_PATH].contains(&path)
        || [ASSETS_PREFIX, BUNDLE_PATH].iter().any(|prefix| path.starts_with(prefix))
        || FEED_STYLESHEET_PATHS.contains(&path)
}

/// Removes the token from the path. A path that ends with it is kept: the router adds the slash.
fn take_from_path<B>(request: &mut Request<B>) -> Option<String> {
    let given = request.uri().path().strip_prefix(TOKEN_PREFIX).filter(|given| !given.is_empty())?;
    let Some((token, rest)) = given.split_once('/') else { return Some(decode(given)) };
    let (token, rest) = (decode(token), format!("/{rest}"));
    if !may_follow_token(&rest) {
        return None;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    *request.uri_mut() = format!("{rest}{query}").parse().ok()?;
    Some(token)
}

fn take_from_query<B>(request: &mut Request<B>) -> Option<String> {
    let uri = request.uri();
    let token = decode(sent_token(uri.query()?)?);
    let others = query::without(uri.query()?, &[query::TOKEN]);
    let target = if others.is_empty() { uri.path().to_owned() } else { format!("{}?{others}", uri.path()) };
    *request.uri_mut() = target.parse::<Uri>().ok()?;
    Some(token)
}

/// Returns a bearer token (RFC 6750), or the password, or else the user name, of HTTP basic authentication (RFC 7617).
fn from_header(headers: &HeaderMap) -> Option<String> {
    if let Some(Authorization(bearer)) = headers.typed_get::<Authorization<Bearer>>() {
        return Some(bearer.token().to_owned());
    }
    let Authorization(basic) = headers.typed_get::<Authorization<Basic>>()?;
    let given = if basic.password().is_empty() { basic.username() } else { basic.password() };
    Some(given.to_owned())
}

fn query(uri: &Uri) -> &str {
    uri.query().unwrap_or_default()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_tokens_are_accepted_and_none_is_shown() {
        let tokens: Tokens = "0123456789abcdef, fedcba9876543210".parse().unwrap();
        assert!(tokens.contain("0123456789abcdef") && tokens.contain("fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdef, fedcba9876543210"] {
            assert!(!tokens.contain(wrong), "{wrong}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(…)");
        let code = "31bbb1e24dc001d6381efafce9466d55";
        assert!(tokens.have_code("/telegram/channel/durov", code));
        assert!(!tokens.have_code("/telegram/channel/Durov", code) && !tokens.have_code("", ""));
        assert!("short".parse::<Tokens>().is_err());
    }
}
