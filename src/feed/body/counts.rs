//! Views and reactions at the end of a body, for readers who want them.

use super::html;
use crate::feed::options::{Count, FeedOptions};
use crate::language::brief;
use crate::model::post::{Post, Reaction, ReactionKind};

/// Stands for custom emoji, of which the preview page shows only a number.
const CUSTOM: &str = "◻";

/// Writes the counts that the options ask for.
pub(super) fn write(out: &mut String, post: &Post, options: &FeedOptions) {
    let reactions = Some(reactions(&post.reactions)).filter(|line| !line.is_empty());
    let views = post.views.map(|n| options.language.briefly_counted(n, &options.language.words().feed.views));
    let lines = [(Count::Reactions, reactions), (Count::Views, views)];
    let lines = lines.into_iter().filter(|(count, _)| options.show.contains(count));
    let lines: Vec<String> = lines.filter_map(|(_, line)| line).collect();
    write_lines(out, &lines.join("\n"), options);
}

/// Writes lines of counts. They begin with a mark of the language's direction, because the first letter, which would decide it,
/// may be the unit of a number: `1.2K`.
pub(super) fn write_lines(out: &mut String, lines: &str, options: &FeedOptions) {
    const RIGHT_TO_LEFT_MARK: char = '\u{200f}';
    let write = |out: &mut String| {
        if options.language.is_right_to_left() && !lines.is_empty() {
            out.push(RIGHT_TO_LEFT_MARK);
        }
        html::lines(out, lines);
    };
    html::block(out, "p", |out| {
        if options.has_page_counts { html::element(out, "small", write) } else { write(out) }
    });
}

/// Returns the reactions on one line. All custom emoji are one reaction, the last one.
fn reactions(reactions: &[Reaction]) -> String {
    let n_custom: u64 =
        reactions.iter().filter(|one| matches!(one.kind, ReactionKind::Custom(_))).map(|one| one.n).sum();
    let named = reactions.iter().filter_map(|one| match &one.kind {
        ReactionKind::Emoji(emoji) => Some((&**emoji, one.n)),
        ReactionKind::Stars => Some(("⭐", one.n)),
        ReactionKind::Custom(_) => None,
    });
    let custom = (n_custom > 0).then_some((CUSTOM, n_custom));
    named.chain(custom).map(|(emoji, n)| format!("{emoji} {}", brief(n))).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::body::body;
    use crate::feed::fixtures;
    use crate::feed::media_links::MediaLinks;
    use crate::model::post::{Poll, PollOption};

    #[test]
    fn counts_are_shown_only_to_readers_who_want_them() {
        let reaction = |kind, n| Reaction { kind, n };
        let custom = |id: &str, n| reaction(ReactionKind::Custom(id.into()), n);
        let options = [Some(75), None].map(|percent| PollOption { text: "answer".into(), percent });
        let (kind, voters) = ("Anonymous Poll".into(), Some(1_200));
        let post = Post {
            poll: Some(Poll { question: "asked".into(), kind, options: options.into(), voters }),
            reactions: vec![
                custom("1", 30),
                reaction(ReactionKind::Stars, 5),
                reaction(ReactionKind::Emoji("👍".into()), 1_230),
                custom("2", 4),
            ],
            views: Some(12_300),
            ..fixtures::post()
        };
        let with = |post: &Post, options: &FeedOptions| {
            let (linker, name) = (fixtures::linker(), fixtures::channel().name);
            body(post, &[], MediaLinks::new(post, &name, &linker), options)
        };
        let shown = |post: &Post, query: &str| with(post, &FeedOptions::parse(query).unwrap());
        let plain = shown(&post, "");
        assert!(plain.ends_with("<ul><li>answer</li>\n<li>answer</li>\n</ul>"), "{plain}");
        assert_eq!(shown(&post, "show=views"), format!("{plain}\n<p>12.3K views</p>"));
        assert_eq!(
            shown(&post, "show=views,reactions"),
            format!("{plain}\n<p>⭐ 5 · 👍 1.23K · ◻ 34<br>12.3K views</p>")
        );
        let persian = shown(&post, "show=views,reactions&lang=fa");
        let end = "\n<p dir=\"auto\">\u{200f}⭐ 5 · 👍 1.23K · ◻ 34<br>12.3K بازدید</p>";
        assert!(persian.ends_with(end), "{persian}");
        let results = shown(&post, "show=poll-results&lang=zh");
        assert!(
            results.ends_with("<ul><li>answer — 75%</li>\n<li>answer</li>\n</ul>\n<p>1.2K 人投票</p>"),
            "{results}"
        );
        let for_page =
            FeedOptions { has_page_counts: true, ..FeedOptions::parse("show=poll-results&lang=zh").unwrap() };
        let bar = "<meter value=\"75\" max=\"100\" aria-hidden=\"true\"></meter>";
        let expected = results.replace("75%", &format!("75%{bar}"));
        let expected = expected.replace("1.2K 人投票", "<small>1.2K 人投票</small>");
        assert_eq!(with(&post, &for_page), expected);
        let uncounted = post.clone().without_counts();
        assert_eq!(shown(&uncounted, "show=views,reactions,poll-results"), plain);
    }
}
