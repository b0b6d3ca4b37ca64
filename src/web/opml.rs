//! `/-/opml`: lists of subscriptions, written and converted.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::bundles::{self, Bundles};
use super::canonical::{self, MAX_LISTED};
use super::compat::help_link;
use super::context::RequestContext;
use super::error::{Error, ErrorPage};
use super::middleware::access::{TOKEN_PREFIX, token_in_query};
use super::several_channels::Group;
use super::state::{AppState, channel_names};
use crate::clock;
use crate::cpu_pool;
use crate::feed::Format;
use crate::feed::compat::{self, CompatError, MovedFrom};
use crate::feed::opml::{self, Conversion, MAX_OPML_BYTES, OpmlError, Subscription};
use crate::feed::several_channels as combined;
use crate::model::channel::ChannelName;
use crate::telegram::typed::parse_channel;

/// Bytes of a form around its file.
const FORM_OVERHEAD: usize = 64 << 10;

/// The handlers of this page.
pub(super) fn route() -> MethodRouter<Arc<AppState>> {
    get(list)
        .post(convert)
        .fallback(other_method)
        .layer(DefaultBodyLimit::max(MAX_OPML_BYTES + FORM_OVERHEAD))
}

/// Answers methods other than GET, HEAD and POST with 405 and `Allow`.
async fn other_method() -> Error {
    Error::Method("GET, HEAD, POST")
}

/// Writes a list of channels, `?channels=a,b&format=rss`, of feeds of several channels, `?combined=a,b`, and of bundles,
/// `?bundles=news`. For an administrator who names nothing: all bundles and the channels that were read recently.
async fn list(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
) -> Result<Response, Error> {
    let (list, note) = subscriptions(&state, &context, uri.query().unwrap_or_default()).await?;
    Ok(respond(opml::write(&list, &note)))
}

/// The channels and feeds that the query of a list names.
struct Listed {
    names: Vec<ChannelName>,
    groups: Vec<Group>,
    /// Channels that are not served. As in a feed of several channels, these do not fail the others.
    denied: Vec<ChannelName>,
    format: Format,
}

/// Parses the query of a list.
fn listed(state: &AppState, bundles: &Bundles, query: &str) -> Result<Listed, Error> {
    let (mut names, mut groups, mut denied) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let mut format = Format::Rss;
    let is_served = |name: &ChannelName| state.check_served(name).is_ok();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "channels" => {
                for typed in value.split(',').filter(|typed| !typed.trim().is_empty()) {
                    let name = parse_channel(typed)?;
                    if seen.insert(canonical::path(&name, None)) {
                        if is_served(&name) { &mut names } else { &mut denied }.push(name);
                    }
                }
            }
            "combined" => match channel_names(&value)? {
                several if !seen.insert(canonical::path_of_all(&several, None)) => {}
                several if several.iter().any(is_served) => groups.push(Group::of(several)),
                several => denied.extend(several),
            },
            "bundles" => {
                for typed in value.split(',').map(str::trim) {
                    if seen.insert(format!("bundles={typed}")) {
                        groups.push(bundles::group(bundles, typed, state.config.language)?);
                    }
                }
            }
            "format" => {
                let unknown = || CompatError::Format(compat::quoted(&value));
                format = Format::from_name(&value).ok_or_else(unknown)?;
            }
            _ => {}
        }
    }
    if seen.len() > MAX_LISTED {
        return Err(Error::LongList(seen.len()));
    }
    if names.is_empty() && groups.is_empty() && !denied.is_empty() {
        state.check_any_served(&denied)?;
    }
    Ok(Listed { names, groups, denied, format })
}

/// Returns the titles of channels: their names while the archive cannot be read.
async fn titled(state: &AppState, names: Vec<ChannelName>) -> Vec<(ChannelName, String)> {
    let titles = state.channels.archive().titles(&names).await;
    let titles = titles.unwrap_or_else(|_| vec![None; names.len()]);
    let or_name = |(name, title): (ChannelName, Option<String>)| {
        (name.clone(), title.unwrap_or_else(|| name.to_string()))
    };
    names.into_iter().zip(titles).map(or_name).collect()
}

/// Returns the served channels that were read recently, with their titles.
async fn recent(state: &AppState) -> Result<Vec<(ChannelName, String)>, Error> {
    let since = clock::now() - opml::RECENT_SPAN;
    let visited = state.channels.archive().visited_since(since).await.map_err(|err| {
        tracing::error!(error = %err, "cannot list the archived channels");
        Error::Internal
    })?;
    let served = visited.into_iter().filter(|channel| state.check_served(&channel.name).is_ok());
    Ok(served.map(|channel| (channel.name, channel.title)).collect())
}

/// Returns the subscriptions of a list, and the note on the channels that are not served.
async fn subscriptions(
    state: &AppState,
    context: &RequestContext,
    query: &str,
) -> Result<(Vec<Subscription>, String), Error> {
    let bundles = state.bundles();
    let Listed { names, mut groups, denied, format } = listed(state, &bundles, query)?;
    let titled = if !names.is_empty() || !groups.is_empty() {
        titled(state, names).await
    } else if context.is_admin {
        groups.extend(bundles.iter().map(|(name, bundle)| bundle.group(name, state.config.language)));
        recent(state).await?
    } else {
        let hint = if state.access.has_admin_tokens() { ", or use the admin token" } else { "" };
        return Err(Error::NoChannels(hint));
    };
    let base_url = base_url(context);
    let subscription = |(name, title): (ChannelName, String)| {
        let feed_url = base_url.clone() + &canonical::path(&name, Some(format));
        Subscription::new(&name, title, feed_url)
    };
    let several = |group: Group| {
        let url = base_url.clone() + &group.feed_path(format);
        Subscription::of_several(group.title(state.config.language), url, base_url.clone() + &group.path)
    };
    let list = titled.into_iter().map(subscription).chain(groups.into_iter().map(several)).collect();
    Ok((list, combined::note(&[], &denied, state.config.language)))
}

/// Returns how the URLs of feeds begin: with the token, if the client has it in its own URL. An administrator's token is
/// not for feed readers.
fn base_url(context: &RequestContext) -> String {
    let in_path =
        context.path_token.as_ref().map(|token| utf8_percent_encode(token, NON_ALPHANUMERIC).to_string());
    let token = in_path.or_else(|| token_in_query(context.query.as_deref()?)).filter(|_| !context.is_admin);
    let prefix = token.map(|token| format!("{TOKEN_PREFIX}{token}")).unwrap_or_default();
    context.base_url.with_path(&prefix)
}

/// Converts the list in the form field `opml`; see [`opml::convert`].
async fn convert(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Response {
    let mut moved_from = String::new();
    let answer = converted(&state, &context, request, &mut moved_from).await;
    answer.unwrap_or_else(|err| {
        let mut response = err.into_response();
        if let Some(page) = response.extensions_mut().get_mut::<ErrorPage>() {
            page.moved_from = moved_from;
        }
        response
    })
}

/// Converts the list of a form. Sets `moved_from` to the text of its field.
async fn converted(
    state: &AppState,
    context: &RequestContext,
    request: Request,
    moved_from: &mut String,
) -> Result<Response, Error> {
    let _permit = state.conversions.try_acquire().map_err(|_| Error::Overloaded)?;
    let multipart = Multipart::from_request(request, state).await;
    let mut form = multipart.map_err(|err| Error::Form(err.body_text()))?;
    let (mut file, mut named) = (None, Vec::new());
    while let Some(field) = form.next_field().await? {
        match field.name() {
            Some("opml") => file = Some(field.bytes().await?),
            Some("moved-from") => {
                *moved_from = String::from_utf8_lossy(&field.bytes().await?).into_owned();
                let items = moved_from.split([',', ' ', '\n', '\r']).filter(|item| !item.is_empty());
                named =
                    items.map(str::parse::<MovedFrom>).collect::<Result<_, _>>().map_err(Error::MovedFrom)?;
            }
            _ => {}
        }
    }
    // A browser sends an empty file if none was chosen.
    let file = file.filter(|file| !file.is_empty()).ok_or_else(|| Error::Form("missing file".to_owned()))?;
    let base_url = base_url(context);
    let n_bytes = file.len();
    let channels = state.config.channels.clone();
    let convert = move || opml::convert(&file, &base_url, &named, |name| channels.serves(name));
    let converted = cpu_pool::run(n_bytes, convert).await.map_err(|err| {
        tracing::error!(error = %err, "cannot convert a list of subscriptions");
        Error::Internal
    })?;
    let Conversion { opml, lost, .. } = converted?;
    let mut response = respond(opml);
    response.headers_mut().extend(help_link(lost.keys()));
    Ok(response)
}

impl From<MultipartError> for Error {
    fn from(err: MultipartError) -> Self {
        match err.status() {
            StatusCode::PAYLOAD_TOO_LARGE => OpmlError::TooLarge.into(),
            _ => Self::Form(err.body_text()),
        }
    }
}

fn respond(opml: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, opml::CONTENT_TYPE),
        (CONTENT_DISPOSITION, "attachment; filename=\"telewire.opml\""),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, opml).into_response()
}
