//! Access control: tokens and rate limits, checked before a request is handled.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use headers::HeaderMapExt;
use headers::authorization::{Authorization, Basic, Bearer};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::forwarded::is_forwarded;
use super::rate_limit::{ClientRate, RateLimit};
use crate::media::signed_url;
use crate::web::error::Error;

/// The path of the liveness check.
pub(in crate::web) const LIVENESS_PATH: &str = "/-/healthz";

/// The path of the readiness check.
pub(in crate::web) const READINESS_PATH: &str = "/-/readyz";

/// The path prefix before a token: `/-/token/SECRET/durov/rss`.
pub(in crate::web) const TOKEN_PREFIX: &str = "/-/token/";

/// The shortest token, in characters.
const MIN_TOKEN_CHARS: usize = 16;

/// Secrets that give access, stored as hashes.
#[derive(Clone)]
pub struct Tokens(Vec<[u8; 32]>);

impl FromStr for Tokens {
    type Err = String;

    /// Parses a comma-separated list of tokens.
    fn from_str(list: &str) -> Result<Self, String> {
        let token = |token: &str| {
            let token = token.trim();
            (token.len() >= MIN_TOKEN_CHARS).then(|| Sha256::digest(token).into()).ok_or_else(|| {
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
        let is_any = |found: Choice, token: &[u8; 32]| found | token.ct_eq(&given);
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
    /// The rate limit per client; unlimited if absent.
    pub client_rate: Option<ClientRate>,
}

/// Checks tokens and rate limits.
pub(in crate::web) struct Access {
    tokens: Option<Tokens>,
    rate_limit: Option<RateLimit>,
}

impl Access {
    pub(in crate::web) fn new(config: AccessConfig) -> Self {
        Self { tokens: config.tokens, rate_limit: config.client_rate.map(RateLimit::new) }
    }

    /// Returns whether requests need a token.
    pub(in crate::web) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Removes clients that have not sent requests for a while.
    pub(in crate::web) fn run_upkeep(&self) {
        if let Some(rate_limit) = &self.rate_limit {
            rate_limit.run_upkeep();
        }
    }

    /// Checks the rate limit and the token, and removes the token from the request.
    ///
    /// Health probes cannot send a token and are frequent, so they bypass authentication and rate limiting. Media URLs
    /// need no token either: they are signed.
    pub(super) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        peer: IpAddr,
        client: IpAddr,
    ) -> Result<(), Error> {
        if [LIVENESS_PATH, READINESS_PATH].contains(&request.uri().path()) {
            return Ok(());
        }
        // Clients behind a proxy on this machine that is not trusted would share one limit.
        let is_local = peer.is_loopback() && !is_forwarded(request.headers());
        if let Some(rate_limit) = self.rate_limit.as_ref().filter(|_| !is_local) {
            rate_limit.check(client)?;
        }
        if request.uri().path().starts_with(signed_url::PATH_PREFIX) {
            return Ok(());
        }
        // Responses must not depend on which token was used. A token that is not needed is ignored.
        let in_url = take_from_path(request).or_else(|| take_from_query(request));
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let given = in_url.or_else(|| from_header(request.headers())).ok_or(Error::MissingToken)?;
        if tokens.contain(&given) { Ok(()) } else { Err(Error::InvalidToken) }
    }
}

/// Returns the token of a query as it is written there.
pub(in crate::web) fn token_in_query(query: &str) -> Option<&str> {
    query.split('&').find_map(|parameter| parameter.strip_prefix("token="))
}

/// Replaces `public` by `private`, so that shared caches do not give one reader's answer to others.
pub(super) fn make_private(response: &mut HeaderMap) {
    let Some(value) = response.get(CACHE_CONTROL) else { return };
    let private = value.to_str().unwrap_or_default().replace("public", "private");
    let private = HeaderValue::try_from(private).unwrap_or(HeaderValue::from_static("private"));
    response.insert(CACHE_CONTROL, private);
}

fn take_from_path<B>(request: &mut Request<B>) -> Option<String> {
    let (token, rest) = request.uri().path().strip_prefix(TOKEN_PREFIX)?.split_once('/')?;
    // Only for channel paths: otherwise `/-/token/…/-/metrics` would bypass a proxy rule that hides `/-/metrics`.
    let (token, rest) = (decode(token), format!("/{}", Some(rest).filter(|rest| !rest.starts_with("-/"))?));
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    *request.uri_mut() = format!("{rest}{query}").parse().ok()?;
    Some(token)
}

fn take_from_query<B>(request: &mut Request<B>) -> Option<String> {
    let uri = request.uri();
    let mut token = None;
    let is_other = |parameter: &&str| match parameter.strip_prefix("token=") {
        Some(given) => {
            token.get_or_insert_with(|| decode(given));
            false
        }
        None => true,
    };
    let others = uri.query()?.split('&').filter(is_other).collect::<Vec<_>>().join("&");
    let token = token?;
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

/// Decodes percent-encoding; unlike in forms, a plus sign stays a plus sign.
fn decode(text: &str) -> String {
    let pair = format!("={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
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
        assert!("short".parse::<Tokens>().is_err());
    }
}
