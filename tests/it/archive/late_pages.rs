//! Pages that are merged after one that was fetched later: a replica may be slow to merge, and pages wait while the archive is
//! unavailable.

use std::sync::Arc;
use std::time::Duration;

use telewire::archive::{ArchiveError, Caller, FetchedPage, PageScope};
use telewire::model::channel::ChannelName;
use telewire::model::paging::ArchivedChannel;

use super::history::{NAME, start};
use super::versions::{Fixture, fixtures, hour, newest_page};
use crate::support::fake_channel::FakeChannel;

fn name() -> ChannelName {
    ChannelName::new(NAME).unwrap()
}

fn load(fixture: &Fixture) -> Option<ArchivedChannel> {
    fixture.runtime.block_on(fixture.archive.load(&name(), Caller::Background)).unwrap()
}

#[test]
fn late_page_only_adds_posts() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 20, start());
        fixture.refresh(&history, 0);
        let deleted = history.publish(0, hour(0));
        let late = newest_page(&history);
        history.posts.remove(&deleted);
        history.edit(20);
        for (n_published, n) in [(5, 2), (40, 3)] {
            (0..n_published).for_each(|_| _ = history.publish(0, hour(n)));
            fixture.refresh(&history, n);
        }
        let state = || {
            let gap = fixture.runtime.block_on(fixture.archive.newest_gap(&name())).unwrap();
            (load(&fixture).unwrap().fetched, gap, fixture.texts(20))
        };
        let before = state();
        assert!(before.1.is_some() && before.2.len() == 1, "{}: {before:?}", fixture.name);
        assert!(fixture.post(NAME, deleted).is_none(), "{}", fixture.name);
        for _ in 0..2 {
            fixture.merge(NAME, late.clone(), hour(1));
            let post = fixture.post(NAME, deleted);
            assert!(post.is_some_and(|post| post.gone_since.is_none()), "{}", fixture.name);
            assert_eq!(state(), before, "{}", fixture.name);
        }
    }
}

/// Its clock was set back.
#[test]
fn page_above_all_archived_posts_is_not_late() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 20, start());
        fixture.refresh(&history, 2);
        (0..40).for_each(|_| _ = history.publish(0, hour(1)));
        fixture.refresh(&history, 1);
        let gap = fixture.runtime.block_on(fixture.archive.newest_gap(&name())).unwrap();
        assert!(gap.is_some_and(|gap| gap.above == 20), "{}: {gap:?}", fixture.name);
    }
}

#[test]
fn late_page_of_the_previous_owner_does_not_take_a_name_back() {
    for fixture in fixtures() {
        let page = |id: u64, n| {
            let mut page = newest_page(&FakeChannel::with_posts(NAME, n, start()));
            page.snapshot.channel.id = Some(id);
            page
        };
        fixture.merge(NAME, page(1, 5), hour(0));
        fixture.merge(NAME, page(2, 3), hour(2));
        let merge = |page: FetchedPage, n| {
            let (name, page) = (name(), Arc::new(page));
            let merge = fixture.archive.merge(&name, page, PageScope::Newest, hour(n), Duration::ZERO);
            fixture.runtime.block_on(merge)
        };
        let refused = merge(page(1, 6), 1);
        assert!(matches!(refused, Err(ArchiveError::PageOutdated)), "{}: {refused:?}", fixture.name);
        assert_eq!(load(&fixture).unwrap().snapshot.posts.len(), 3, "{}", fixture.name);
        assert!(merge(page(1, 6), 3).is_ok());
        assert_eq!(load(&fixture).unwrap().snapshot.posts.len(), 6, "{}", fixture.name);
    }
}

#[test]
fn late_page_does_not_bring_a_gone_channel_back() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 20, start());
        fixture.refresh(&history, 0);
        fixture.runtime.block_on(fixture.archive.mark_gone(&name(), hour(2))).unwrap();
        let last = history.publish(0, hour(0));
        fixture.refresh(&history, 1);
        assert!(load(&fixture).is_none(), "{}", fixture.name);
        history.posts.remove(&last);
        fixture.refresh(&history, 3);
        assert!(load(&fixture).is_some() && fixture.post(NAME, last).is_some(), "{}", fixture.name);
    }
}
