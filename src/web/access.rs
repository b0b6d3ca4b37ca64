//! Who may read, what, and how often; decided before anything else.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::App;
use super::base::FORWARDED_FOR;
use super::error::Error;
use super::server::Peer;
use crate::channel::ChannelName;
use crate::config::{AccessArgs, Secrets};
use crate::media::address;
use crate::telegram::address::parse_channel;

/// What a token in the path stands behind: `/-/token/SECRET/durov/rss`.
const TOKEN_PATH: &str = "/-/token/";

/// What is asked about the service's health is asked by nobody who could give a token, and often. (Files need no token
/// either: their addresses are secrets themselves.)
const HEALTH: [&str; 2] = ["/-/healthz", "/-/readyz"];

/// Who may read, and how often.
pub(super) struct Access {
    tokens: Option<Secrets>,
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Access {
    pub(super) fn new(args: &AccessArgs) -> Self {
        let limiter = NonZeroU32::new(args.client_rate)
            .map(|rate| RateLimiter::keyed(Quota::per_second(rate).allow_burst(args.client_burst)));
        Self { tokens: args.token.clone(), limiter }
    }

    /// Forgets clients that could ask as often as they may for a while.
    pub(super) fn tidy(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
        }
    }

    /// Whether a client asks too often; then in how long it may again.
    fn limit(&self, client: IpAddr) -> Result<(), Error> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&network_of(client)).map_err(|refused| {
            Error::TooOften(refused.wait_time_from(DefaultClock::default().now()).max(Duration::from_secs(1)))
        })
    }

    /// Whether a request has a token, which is taken out of it: no answer depends on which one it was.
    fn identify<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let in_address = take_from_path(request).or_else(|| take_from_query(request));
        let given = in_address.or_else(|| from_header(request)).ok_or(Error::NoToken)?;
        if tokens.contain(&given) { Ok(()) } else { Err(Error::WrongToken) }
    }
}

impl App {
    /// The channel that was typed, if it is served.
    pub(super) fn channel(&self, typed: &str) -> Result<ChannelName, Error> {
        let name = parse_channel(typed)?;
        self.check_served(&name)?;
        Ok(name)
    }

    /// Whether a channel is served, by one of its names.
    pub(super) fn check_served(&self, name: &ChannelName) -> Result<(), Error> {
        if self.0.channels_served.serves(name) { Ok(()) } else { Err(Error::NotServed) }
    }

    /// Whether readers must give a token.
    pub(super) fn needs_token(&self) -> bool {
        self.0.access.tokens.is_some()
    }

    /// Lets a request in, without what proves that it may.
    pub(super) fn admit<B>(&self, request: &mut Request<B>, peer: Peer) -> Result<(), Error> {
        let access = &self.0.access;
        let path = request.uri().path();
        if HEALTH.contains(&path) {
            return Ok(());
        }
        let needs_no_token = path.starts_with(address::PATH);
        // Everybody who comes through a proxy on this machine that is not trusted would share one limit.
        let Peer(from) = peer;
        let is_of_this_machine = from.is_loopback() && !request.headers().contains_key(FORWARDED_FOR);
        if !is_of_this_machine && access.limiter.is_some() {
            access.limit(self.client(request.headers(), peer))?;
        }
        if needs_no_token { Ok(()) } else { access.identify(request) }
    }
}

/// Keeps caches on the way from giving to everybody what was for one reader.
pub(super) fn close(answer: &mut HeaderMap) {
    let Some(said) = answer.get(CACHE_CONTROL) else { return };
    let private = said.to_str().unwrap_or_default().replace("public", "private");
    answer
        .insert(CACHE_CONTROL, HeaderValue::try_from(private).unwrap_or(HeaderValue::from_static("private")));
}

/// Whoever has one address of IPv6 has a network of them.
pub(super) fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

fn take_from_path<B>(request: &mut Request<B>) -> Option<String> {
    let (token, rest) = request.uri().path().strip_prefix(TOKEN_PATH)?.split_once('/')?;
    // Channels only: what a proxy keeps from strangers is not to be had by this way around it.
    let (token, rest) = (decoded(token), format!("/{}", Some(rest).filter(|rest| !rest.starts_with("-/"))?));
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    *request.uri_mut() = format!("{rest}{query}").parse().ok()?;
    Some(token)
}

fn take_from_query<B>(request: &mut Request<B>) -> Option<String> {
    let uri = request.uri();
    let mut token = None;
    let is_other = |parameter: &&str| match parameter.strip_prefix("token=") {
        Some(given) => {
            token = Some(decoded(given));
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

/// The password or else the name of HTTP's basic authentication (RFC 7617), or a bearer token (RFC 6750).
fn from_header<B>(request: &Request<B>) -> Option<String> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    let decoded =
        BASE64_STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let decoded = String::from_utf8(decoded?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some(if password.is_empty() { name } else { password }.to_owned())
}

fn decoded(text: &str) -> String {
    // As forms write it, but a plus is itself.
    let text = text.replace('+', "%2B");
    let pair = format!("={text}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
