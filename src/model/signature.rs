//! The signature of a channel: the lines with which it ends most of its posts, such as its name or an invitation.

use std::collections::BTreeMap;

use super::post::Post;

/// How many of the newest archived posts are examined for signature lines.
pub const MAX_POSTS: usize = 50;

/// The minimum number of posts with a signature line, so that a few similar posts do not make one.
const MIN_POSTS: usize = 5;

/// The maximum number of signature lines of a channel.
const MAX_LINES: usize = 20;

/// Adds the signature lines of these posts to the known ones. A line is one if more than half of the posts with text end
/// with it, apart from signature lines below it, or consist of it.
pub fn add_lines(known: &mut Vec<String>, posts: &[Post]) {
    let lines = |post: &Post| -> Vec<String> {
        let text = post.full_text();
        text.without_spoilers().lines().map(collapsed).filter(|line| !line.is_empty()).collect()
    };
    let mut texts: Vec<_> = posts.iter().filter(|post| !post.service).map(lines).collect();
    texts.retain(|lines| !lines.is_empty());
    let n_posts = texts.len();
    while known.len() < MAX_LINES {
        let mut n_ends: BTreeMap<&String, usize> = BTreeMap::new();
        for lines in &mut texts {
            while lines.pop_if(|line| known.contains(line)).is_some() {}
            if let Some(line) = lines.last() {
                *n_ends.entry(line).or_default() += 1;
            }
        }
        let most = n_ends.into_iter().find(|(_, n)| *n >= MIN_POSTS && 2 * *n > n_posts);
        let Some((line, _)) = most else { return };
        known.push(line.clone());
    }
}

/// Returns whether a line is one of the signature lines.
#[must_use]
pub fn contains(signature_lines: &[String], line: &str) -> bool {
    !signature_lines.is_empty() && signature_lines.contains(&collapsed(line))
}

/// Returns the line with single spaces between its words.
fn collapsed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::post::PostId;

    fn posts(texts: &[&str]) -> Vec<Post> {
        let post = |(n, text): (u32, &&str)| {
            let id = PostId::new(n).unwrap();
            Post { text: (*text).into(), ..Post::empty(id, String::new(), Timestamp::UNIX_EPOCH) }
        };
        (1..).zip(texts).map(post).collect()
    }

    fn lines_of(texts: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        add_lines(&mut lines, &posts(texts));
        lines
    }

    #[test]
    fn line_at_the_end_of_most_texts_is_a_signature() {
        let signed = ["a\n\nTea  Club", "Tea Club\n ", "b\nTea Club", "c\nTea Club", "Tea Club", ""];
        assert_eq!(lines_of(&signed), ["Tea Club"]);
        assert_eq!(lines_of(&[&signed[..], &["x", "y", "z", "v"]].concat()), ["Tea Club"], "5 of 9");
        assert!(lines_of(&[&signed[..], &["x", "y", "z", "v", "w"]].concat()).is_empty(), "5 of 10");
        assert!(lines_of(&signed[..4]).is_empty(), "too few posts");
        assert!(
            lines_of(&["Tea Club\na", "Tea Club\nb", "Tea Club\nc", "Tea Club\nd", "Tea Club\ne"]).is_empty()
        );
    }

    #[test]
    fn signature_of_several_lines_is_found_from_its_end() {
        let signed =
            ["a\nJoin us\n@tea", "b\nJoin us\n@tea", "Join us\n@tea", "c\nJoin us\n@tea", "d\nJoin us\n@tea"];
        assert_eq!(lines_of(&signed), ["@tea", "Join us"]);
    }

    #[test]
    fn known_lines_are_kept() {
        let mut lines = vec!["Old name".to_owned()];
        add_lines(&mut lines, &posts(&["New name"; 5]));
        add_lines(&mut lines, &posts(&["text"]));
        assert_eq!(lines, ["Old name", "New name"]);
        assert!(contains(&lines, " Old \u{a0}name") && !contains(&lines, "Old name!"));
    }
}
