//! Asking an upstream for a channel's preview page.
//!
//! Nothing that comes back is taken without a limit: time, bytes after decompression, redirects.

use std::time::Duration;

use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use thiserror::Error;
use url::{Host, Url};

use super::address;
use super::landing::NoPosts;
use crate::channel::ChannelName;

/// Until the connection stands, names resolved and TLS agreed.
const CONNECT: Duration = Duration::from_secs(3);

/// For one page with all of its body.
const WHOLE_PAGE: Duration = Duration::from_secs(10);

/// For everything that one channel takes, over all upstreams: feed readers give up after 15 seconds.
const ALTOGETHER: Duration = Duration::from_secs(12);

/// Bytes of a page after decompression. The largest seen have 150 KB.
const MAX_PAGE: usize = 4 << 20;

/// `/s/NAME` → another spelling of it → `/NAME`.
const MAX_REDIRECTS: usize = 2;

/// Who is asking.
const USER_AGENT: &str = concat!("telewire/", env!("CARGO_PKG_VERSION"), " (feed bridge)");

/// Why no page was had.
#[derive(Clone, Debug, Error)]
pub enum FetchError {
    /// No connection: the name does not resolve, nobody answers, or the certificate is not theirs.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The upstream.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The answer, or its end, did not come in time.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// Asked to wait.
    #[error("{host} asks to be left alone for a while (status {status})")]
    Refused {
        /// The upstream.
        host: String,
        /// 429 or 503.
        status: u16,
        /// How long, in its own words.
        retry_after: Option<String>,
    },
    /// A status that a preview page does not have.
    #[error("{host} answered with status {status}")]
    Status {
        /// The upstream.
        host: String,
        /// The status.
        status: u16,
    },
    /// More than a page can be.
    #[error("{host} sent more than {} MiB", MAX_PAGE >> 20)]
    TooLarge {
        /// The upstream.
        host: String,
    },
    /// The connection broke.
    #[error("the answer of {host} broke off: {why}")]
    Broken {
        /// The upstream.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The upstream pointed somewhere else than to a page.
    #[error(transparent)]
    NoPosts(NoPosts),
}

/// A server that is asked for pages: `https://t.me`, or on loopback also `http://127.0.0.1:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream(Url);

impl Upstream {
    /// Reads the base address of an upstream.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it: only `https`, or `http` to a loopback address, without path.
    pub fn new(address: &str) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|err| format!("{address:?} is no address: {err}"))?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(format!(
                "{address:?} must begin with https:// (http:// is for loopback addresses only)"
            ));
        }
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err(format!("{address:?} must end after the host and port"));
        }
        Ok(Self(url))
    }

    fn host(&self) -> String {
        self.0.authority().to_owned()
    }
}

/// Asks upstreams for pages.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    upstreams: Vec<Upstream>,
}

impl Client {
    /// A client that asks the upstreams in this order.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up, such as on a machine without any root certificate.
    pub fn new(upstreams: Vec<Upstream>) -> Result<Self, reqwest::Error> {
        // An error says that a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let english = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))]);
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(english)
            .connect_timeout(CONNECT)
            .timeout(WHOLE_PAGE)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, upstreams })
    }

    /// Fetches a channel's preview page, or the page that Telegram shows in its place.
    ///
    /// # Errors
    ///
    /// The error of the last upstream that was tried, when none gave a page.
    pub async fn preview_page(&self, name: &ChannelName) -> Result<String, FetchError> {
        let asked = async {
            let mut last = None;
            for upstream in &self.upstreams {
                match self.page_from(upstream, name).await {
                    Err(err @ (FetchError::Unreachable { .. } | FetchError::TimedOut(_))) => {
                        tracing::debug!(channel = %name, "{err}");
                        last = Some(err);
                    }
                    answer => return answer,
                }
            }
            Err(last.unwrap_or_else(|| FetchError::TimedOut("nobody".to_owned())))
        };
        let host = || self.upstreams.first().map(Upstream::host).unwrap_or_default();
        tokio::time::timeout(ALTOGETHER, asked).await.unwrap_or_else(|_| Err(FetchError::TimedOut(host())))
    }

    async fn page_from(&self, upstream: &Upstream, name: &ChannelName) -> Result<String, FetchError> {
        let host = upstream.host();
        let mut path = address::preview_path(name);
        for _ in 0..=MAX_REDIRECTS {
            let mut url = upstream.0.clone();
            url.set_path(&path);
            let response = self.http.get(url).send().await.map_err(|err| failed(&host, &err))?;
            let status = response.status();
            if status.is_redirection() {
                path = own_path(&response, upstream, name).map_err(FetchError::NoPosts)?;
                continue;
            }
            return match status {
                StatusCode::OK => body(response, &host).await,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let retry_after = response.headers().get(RETRY_AFTER);
                    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
                    Err(FetchError::Refused { host, status: status.as_u16(), retry_after })
                }
                _ => Err(FetchError::Status { host, status: status.as_u16() }),
            };
        }
        Err(FetchError::NoPosts(NoPosts::Elsewhere(path)))
    }
}

/// Where a redirect leads, if that is a page of the same channel: t.me sends to `/NAME` when there is no preview.
fn own_path(response: &Response, upstream: &Upstream, name: &ChannelName) -> Result<String, NoPosts> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let url = response.url().join(location).map_err(|_| NoPosts::Elsewhere(location.to_owned()))?;
    let same_host = url.origin() == upstream.0.origin() || address::is_telegram(&url);
    let own = url.path().trim_start_matches("/s/").trim_matches('/').eq_ignore_ascii_case(name.as_str());
    if same_host && own {
        return Ok(url.path().to_owned());
    }
    // What cannot be a name at all is sent to Telegram's home page.
    let home = url.path() == "/" && url.host_str().is_some_and(|host| host.ends_with("telegram.org"));
    Err(if home {
        NoPosts::NotAName
    } else {
        NoPosts::Elsewhere(url.host_str().unwrap_or(location).to_owned())
    })
}

async fn body(mut response: Response, host: &str) -> Result<String, FetchError> {
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|err| failed(host, &err))? {
        if page.len() + chunk.len() > MAX_PAGE {
            return Err(FetchError::TooLarge { host: host.to_owned() });
        }
        page.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn failed(host: &str, err: &reqwest::Error) -> FetchError {
    let host = host.to_owned();
    let mut why: &dyn std::error::Error = err;
    while let Some(cause) = why.source() {
        why = cause;
    }
    let why = why.to_string();
    if err.is_timeout() && !err.is_connect() {
        FetchError::TimedOut(host)
    } else if err.is_body() || err.is_decode() {
        FetchError::Broken { host, why }
    } else {
        FetchError::Unreachable { host, why }
    }
}
