//! The bundles of a settings file: tables such as `[bundle.news]`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::channel::ChannelName;
use crate::telegram::typed::parse_channel;
use crate::web::{Bundle, BundleChannels, BundleName, BundleOptions, Bundles};

/// The byte offset of a mistake, and what is wrong.
pub(super) type Mistake = (usize, String);

/// The key of the bundles in a settings file.
pub(super) const KEY: &str = "bundle";

/// How a bundle looks, for the example file.
pub(super) const EXAMPLE: &str = "
# Bundles: feeds of several channels with names of your own, such as /-/bundle/news/rss. `options` are those of feeds, as
# `telewire help options` lists them. After a change, `systemctl reload telewire` or a SIGHUP reads the bundles anew.
# [bundle.news]
# channels = [\"durov\", \"telegram\"]
# title = \"News\"
# options = \"without=ad&limit=50\"
";

/// Parses all bundles. Those with mistakes are left out.
pub(super) fn parse(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Bundles {
    let mut bundles = Bundles::new();
    let DeValue::Table(table) = value.get_ref() else {
        mistakes.push((value.span().start, "bundle: must be tables, such as [bundle.news]".to_owned()));
        return bundles;
    };
    for (key, value) in table {
        let mut wrong = |at: Range<usize>, what: String| {
            mistakes.push((at.start, format!("bundle.{}: {what}", key.get_ref())));
        };
        let name = key.get_ref().parse::<BundleName>().map_err(|what| wrong(key.span(), what.to_owned()));
        let DeValue::Table(fields) = value.get_ref() else {
            wrong(key.span(), format!("must be a table, as in [bundle.{}]", key.get_ref()));
            continue;
        };
        if let (Some(bundle), Ok(name)) = (bundle(fields, key.span(), &mut wrong), name) {
            bundles.insert(name, bundle);
        }
    }
    bundles
}

fn bundle(
    fields: &DeTable<'_>,
    at: Range<usize>,
    wrong: &mut impl FnMut(Range<usize>, String),
) -> Option<Bundle> {
    let (mut channels, mut title, mut options) = (None, None, Some(BundleOptions::default()));
    for (key, value) in fields {
        let text = value.get_ref().as_str();
        match (key.get_ref().as_ref(), text) {
            ("channels", _) => channels = Some(names(value, wrong)),
            ("title", Some(text)) if !text.trim().is_empty() => title = Some(text.to_owned()),
            ("title", _) => wrong(value.span(), "title must be a text".to_owned()),
            ("options", Some(text)) => {
                options = text.parse().map_err(|what| wrong(value.span(), format!("options: {what}"))).ok();
            }
            ("options", None) => {
                wrong(value.span(), "options must be a query, such as \"without=ad&limit=50\"".to_owned());
            }
            (other, _) => {
                wrong(key.span(), format!("unknown key {other}: a bundle has channels, title and options"));
            }
        }
    }
    let channels = channels.unwrap_or_else(|| Some(Vec::new()))?;
    let channels = BundleChannels::new(channels).map_err(|what| wrong(at, what)).ok()?;
    Some(Bundle { channels, title, options: options? })
}

/// Parses a list of channels; `None` if one of them is not a channel.
fn names(
    value: &Spanned<DeValue<'_>>,
    wrong: &mut impl FnMut(Range<usize>, String),
) -> Option<Vec<ChannelName>> {
    let Some(list) = value.get_ref().as_array() else {
        wrong(value.span(), "channels must be a list, such as [\"durov\", \"telegram\"]".to_owned());
        return None;
    };
    let mut name = |item: &Spanned<DeValue<'_>>| {
        let parsed = item.get_ref().as_str().map(parse_channel);
        match parsed.unwrap_or_else(|| parse_channel("")) {
            Ok(name) => Some(name),
            Err(err) => {
                wrong(item.span(), err.to_string());
                None
            }
        }
    };
    // All mistakes are to be found, not only the first one.
    let names: Vec<Option<ChannelName>> = list.iter().map(&mut name).collect();
    names.into_iter().collect()
}
