//! The parts of the service as cards: the upstreams, the refreshes, the archive, the memory.

use bytesize::ByteSize;
use maud::{Markup, Render, html};

use super::{StatusPage, time, with_time};
use crate::archive::ArchiveKind;
use crate::channels::CacheSize;
use crate::telegram::upstream::{BreakerState, UpstreamStatus};

impl StatusPage<'_> {
    pub(super) fn cards(&self) -> Markup {
        let (words, status) = (self.words, self.status);
        let of = |size: &CacheSize| of_max(&bytes(size.bytes), &bytes(size.max_bytes));
        let media = of_max(&status.media.streams.to_string(), &status.media.max_streams.to_string());
        html! {
            div.cards {
                @for upstream in &status.upstreams { (self.upstream(words.telegram, upstream)) }
                @for upstream in &status.telegraph { (self.upstream(words.telegraph, upstream)) }
                section.card {
                    h2 { (words.refreshes) }
                    dl {
                        (fact(words.under_way, status.queues.refreshes))
                        (fact(words.before_visits, status.queues.before_visits))
                        (fact(words.new_channels, status.queues.new_channels))
                    }
                }
                section.card {
                    h2 { (words.archive) ": " (self.archive_kind()) }
                    @if let Some(problem) = &status.archive.problem { p.state.failing lang="en" dir="auto" { (problem) } }
                    dl {
                        @if let Some(posts) = status.archive.posts { (fact(words.posts, posts)) }
                        @if let Some(size) = status.archive.bytes { (fact(words.size, html! { bdi dir="ltr" { (bytes(size)) } })) }
                        @if let Some(free) = status.archive.free_disk_bytes { (fact(words.free_disk, html! { bdi dir="ltr" { (bytes(free)) } })) }
                    }
                    @if !status.incidents.is_empty() {
                        p { (words.repaired) }
                        ul {
                            @for incident in &status.incidents {
                                li { (time(incident.at)) " " span lang="en" { (incident.what) } }
                            }
                        }
                    }
                }
                section.card {
                    h2 { (words.memory) }
                    dl {
                        (fact(words.channels, of(&status.snapshot_cache)))
                        (fact(words.feeds, of(&status.feed_cache)))
                        (fact(words.media_streams, media))
                    }
                }
            }
        }
    }

    fn archive_kind(&self) -> &'static str {
        match self.status.archive.kind {
            ArchiveKind::Memory => self.words.in_memory,
            ArchiveKind::Sqlite => "SQLite",
            ArchiveKind::Postgres => "PostgreSQL",
        }
    }

    fn upstream(&self, service: &str, upstream: &UpstreamStatus) -> Markup {
        let words = self.words;
        let (class, state) = match upstream.breaker.state {
            BreakerState::Closed => ("ok", words.answers),
            BreakerState::Refused => ("failing", words.refuses),
            BreakerState::Failing => ("failing", words.does_not_answer),
            BreakerState::Probing => ("waiting", words.is_tested),
        };
        html! {
            section.card {
                h2 { (service) ": " bdi { (upstream.host) } }
                @if let Some(proxy) = &upstream.proxy { p.note { bdi { (proxy) } } }
                p {
                    span class={ "state " (class) } { (state) }
                    @if let Some(since) = upstream.breaker.since { " " (with_time(words.since, since)) }
                    @if let Some(until) = upstream.breaker.until { " · " (with_time(words.until, until)) }
                }
                dl {
                    (fact(words.in_queue, upstream.queue_length))
                    (fact(words.in_flight, upstream.in_flight))
                    (fact(words.rate, upstream.rate))
                }
            }
        }
    }
}

fn fact(label: &str, value: impl Render) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

fn bytes(n: u64) -> String {
    ByteSize(n).display().iec().to_string()
}

/// Returns a value and its limit, whose order must not depend on the direction of the page.
fn of_max(value: &str, max: &str) -> Markup {
    html! { bdi dir="ltr" { (value) " / " (max) } }
}
