//! The list of feed options, for `telewire options`.

use crate::feed::options::{FeedOption, OPTIONS};

/// The text above the list.
const INTRODUCTION: &str = "\
The options of a feed are parameters of its URL, the same for RSS, Atom and JSON: /durov/rss?match=rust&limit=50. \
`telewire get --query 'match=rust&limit=50'` takes them too. All filters must be passed; `limit` counts what is left.";

/// Returns every option with its values, its meaning, its default and an example.
#[must_use]
pub fn feed_options() -> String {
    let entry = |option: &FeedOption| {
        let FeedOption { name, default, meaning, example, .. } = option;
        let values = option.values.documented();
        format!("\n{name}={values}\n  {meaning}\n  Default: {default}. Example: {example}\n")
    };
    format!("{INTRODUCTION}\n{}", OPTIONS.iter().map(entry).collect::<String>())
}
