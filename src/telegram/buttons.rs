//! Buttons below a post.

use super::{dom, url};
use crate::model::post::{NamedLink, Post};

/// Adds buttons to the post.
///
/// A button that only a bot reacts to leads to the post itself. Such buttons often count clicks (`👍 12`), and the same
/// post must always give the same feed. So their numbers are removed, and buttons that are empty or equal then.
pub(super) fn add(post: &mut Post, buttons: impl Iterator<Item = NamedLink>) {
    for button in buttons {
        let is_callback =
            button.url.as_deref().is_none_or(|url| url::post_of(url) == url::post_of(&post.permalink));
        let button = if is_callback {
            NamedLink { name: without_counts(&button.name).to_owned(), ..button }
        } else {
            button
        };
        let is_repeated = is_callback && post.buttons.contains(&button);
        if !button.name.is_empty() && !is_repeated {
            post.buttons.push(button);
        }
    }
}

/// Returns the label without the numbers at its ends: `👍 12`, `(1.2K) likes`.
fn without_counts(label: &str) -> &str {
    let is_gap = |c: char| c == ' ' || matches!(c, ':' | '·' | '|' | '-' | '–' | '—');
    let is_in_count = |c: char| c.is_ascii_digit() || ".,KM()[]+".contains(c);
    let is_count = |run: &str| dom::parse_count(run.trim_matches(['(', ')', '[', ']', '+'])).is_some();
    // The digits of `mp3` and `1️⃣` are not counts.
    let is_outside = |c: Option<char>| {
        c.is_none_or(|c| {
            c == ' ' || !c.is_ascii() && !c.is_alphanumeric() && !matches!(c, '\u{fe0f}' | '\u{20e3}')
        })
    };
    let is_emoji_end = |c: Option<char>| c == Some('\u{fe0f}');
    let mut label = label.trim();
    loop {
        let behind = label.trim_start_matches(is_in_count);
        let before = label.trim_end_matches(is_in_count);
        let last = before.chars().last();
        label = if is_count(&label[..label.len() - behind.len()]) && is_outside(behind.chars().next()) {
            behind.trim_start_matches(is_gap)
        } else if is_count(&label[before.len()..]) && (is_outside(last) || is_emoji_end(last)) {
            before.trim_end_matches(is_gap)
        } else {
            return label;
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_at_the_ends_of_a_label_are_removed() {
        for (label, expected) in [
            ("👍 12", "👍"),
            ("👍12", "👍"),
            ("❤\u{fe0f}12", "❤\u{fe0f}"),
            ("12 👍", "👍"),
            ("1.2K likes", "likes"),
            ("Like (1,234)", "Like"),
            ("Like: 12", "Like"),
            ("👍 1 234", "👍"),
            ("👍 +5M", "👍"),
            ("12", ""),
            ("OK", "OK"),
            ("12 Kittens", "Kittens"),
            ("mp3", "mp3"),
            ("3D", "3D"),
            ("24/7", "24/7"),
            ("100%", "100%"),
            ("1\u{fe0f}\u{20e3}", "1\u{fe0f}\u{20e3}"),
            ("1\u{fe0f}\u{20e3} Low tide", "1\u{fe0f}\u{20e3} Low tide"),
            ("The 3 piers", "The 3 piers"),
            ("Read more...", "Read more..."),
        ] {
            assert_eq!(without_counts(label), expected, "{label}");
        }
    }
}
