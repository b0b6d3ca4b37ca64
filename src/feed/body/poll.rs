//! Polls and quizzes.

use super::{counts, html};
use crate::feed::options::{Count, FeedOptions};
use crate::language::FeedWords;
use crate::model::post::Poll;

/// Writes a poll; with its results if the reader wants them.
pub(super) fn write(out: &mut String, poll: &Poll, options: &FeedOptions) {
    let words = &options.language.words().feed;
    let shows_results = options.show.contains(&Count::PollResults);
    html::block(out, "p", |out| {
        html::element(out, "b", |out| html::text(out, &poll.question));
        if !poll.kind.is_empty() {
            out.push_str("<br>");
            html::element(out, "i", |out| html::text(out, poll_kind(&poll.kind, words)));
        }
    });
    html::group(out, "ul", |out| {
        for option in &poll.options {
            html::block(out, "li", |out| {
                html::text(out, &option.text);
                if let Some(percent) = option.percent.filter(|_| shows_results) {
                    html::text(out, &format!(" — {percent}%"));
                    if options.has_page_counts {
                        bar(out, percent);
                    }
                }
            });
        }
    });
    if let Some(voters) = poll.voters.filter(|_| shows_results) {
        counts::write_lines(out, &options.language.briefly_counted(voters, &words.voters), options);
    }
}

/// Writes a percentage as a bar. Screen readers skip it, because it repeats the text before it.
fn bar(out: &mut String, percent: u8) {
    out.push_str("<meter");
    for (name, value) in [("value", percent.to_string().as_str()), ("max", "100"), ("aria-hidden", "true")] {
        html::attribute(out, name, value);
    }
    out.push_str("></meter>");
}

/// Returns the kind of a poll, which is English on the preview page.
fn poll_kind<'a>(kind: &'a str, words: &'a FeedWords) -> &'a str {
    match kind {
        "Anonymous Poll" => words.anonymous_poll,
        "Anonymous Quiz" => words.anonymous_quiz,
        "Public vote" => words.public_vote,
        "Quiz" => words.quiz,
        "Final Results" => words.final_results,
        unknown => unknown,
    }
}
