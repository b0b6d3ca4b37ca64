//! The query of the status page: which channels are shown, and in which order.

use crate::channels::{ChannelQuery, ChannelSort, ChannelState};
use crate::web::error::Error;

/// Channels that are shown without `limit`.
const DEFAULT_LIMIT: usize = 100;

/// The most channels that are shown.
const MAX_LIMIT: usize = 1000;

/// The most channels that are left out.
const MAX_OFFSET: usize = 1_000_000;

/// Parses the query. A form sends empty values, which mean the defaults, as missing ones do.
pub(super) fn parse(query: &str) -> Result<ChannelQuery, Error> {
    let mut parsed = ChannelQuery { limit: DEFAULT_LIMIT, ..ChannelQuery::default() };
    let mut is_descending = None;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        let is_named = |name: &str| value.eq_ignore_ascii_case(name);
        match &*key {
            "q" => parsed.contains = value.into_owned(),
            "sort" => {
                let sort = ChannelSort::ALL.into_iter().find(|sort| is_named(sort.name()));
                parsed.sort = sort.ok_or_else(|| one_of("sort", ChannelSort::ALL.map(ChannelSort::name)))?;
            }
            "state" => {
                let state = ChannelState::ALL.into_iter().find(|state| is_named(state.name()));
                let unknown = || one_of("state", ChannelState::ALL.map(ChannelState::name));
                parsed.state = Some(state.ok_or_else(unknown)?);
            }
            "order" if is_named("asc") => is_descending = Some(false),
            "order" if is_named("desc") => is_descending = Some(true),
            "order" => return Err(one_of("order", ["asc", "desc"])),
            "limit" => parsed.limit = number("limit", &value, 1, MAX_LIMIT)?,
            "offset" => parsed.offset = number("offset", &value, 0, MAX_OFFSET)?,
            _ => {}
        }
    }
    parsed.is_descending = is_descending.unwrap_or(is_descending_by_default(parsed.sort));
    Ok(parsed)
}

/// Returns whether an order begins at its end unless the query says otherwise: the latest posts, errors and requests are
/// looked for, but the channels that were fetched the longest ago.
pub(in crate::web) fn is_descending_by_default(sort: ChannelSort) -> bool {
    matches!(sort, ChannelSort::Newest | ChannelSort::Error | ChannelSort::Requested)
}

/// Returns the parameters of a query that are not the defaults.
pub(in crate::web) fn pairs(query: &ChannelQuery) -> Vec<(&'static str, String)> {
    let order = if query.is_descending { "desc" } else { "asc" };
    let is_default_order = query.is_descending == is_descending_by_default(query.sort);
    [
        ("q", Some(query.contains.clone()).filter(|text| !text.is_empty())),
        ("state", query.state.map(|state| state.name().to_owned())),
        ("sort", (query.sort != ChannelSort::default()).then(|| query.sort.name().to_owned())),
        ("order", (!is_default_order).then(|| order.to_owned())),
        ("limit", (query.limit != DEFAULT_LIMIT).then(|| query.limit.to_string())),
        ("offset", (query.offset > 0).then(|| query.offset.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn one_of<const N: usize>(parameter: &'static str, names: [&str; N]) -> Error {
    Error::StatusQuery(parameter, names.join(", "))
}

fn number(parameter: &'static str, value: &str, min: usize, max: usize) -> Result<usize, Error> {
    let in_range = |n: &usize| (min..=max).contains(n);
    let range = format!("a number from {min} to {max}");
    value.parse().ok().filter(in_range).ok_or(Error::StatusQuery(parameter, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_parsed_and_empty_values_are_defaults() {
        let default = ChannelQuery { limit: DEFAULT_LIMIT, ..ChannelQuery::default() };
        assert_eq!(parse("").unwrap(), default);
        assert_eq!(parse("q=&state=&sort=&order=&limit=&other=1").unwrap(), default);
        let newest = parse("sort=newest").unwrap();
        assert_eq!((newest.sort, newest.is_descending), (ChannelSort::Newest, true));
        let all = parse("q=%40Harbour+news&state=failing&sort=error&order=asc&limit=1000&offset=7").unwrap();
        let expected = ChannelQuery {
            sort: ChannelSort::Error,
            is_descending: false,
            contains: "@Harbour news".to_owned(),
            state: Some(ChannelState::Failing),
            offset: 7,
            limit: 1000,
        };
        assert_eq!(all, expected);
        let written = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs(&all)).finish();
        assert_eq!(parse(&written).unwrap(), all);
        assert_eq!(pairs(&newest), [("sort", "newest".to_owned())]);
    }

    #[test]
    fn invalid_queries_are_rejected_with_the_valid_values() {
        for (query, message) in [
            ("sort=size", "invalid `sort`: use name, newest, fetched, error, next, requested"),
            ("state=bad", "invalid `state`: use ok, stale, waiting, failing, gone"),
            ("order=down", "invalid `order`: use asc, desc"),
            ("limit=0", "invalid `limit`: use a number from 1 to 1000"),
            ("limit=1001", "invalid `limit`: use a number from 1 to 1000"),
            ("offset=-1", "invalid `offset`: use a number from 0 to 1000000"),
        ] {
            assert_eq!(parse(query).unwrap_err().to_string(), message);
        }
    }
}
