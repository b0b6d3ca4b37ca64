//! New channels whose request could not be answered in time. They are read in the background, so that the next request
//! finds them.

use std::collections::{HashSet, VecDeque};

use crate::model::channel::ChannelName;

/// The names that wait at a time.
const MAX_NAMES: usize = 2000;

/// The share of one client, whose names may be invented.
const MAX_NAMES_PER_CLIENT: usize = 500;

/// A name that waits, and for whom.
#[derive(Clone, Debug)]
pub(super) struct NewChannel {
    pub(super) name: ChannelName,
    /// The hash of the client that asked for it.
    pub(super) client: u64,
    /// Failed attempts to read it.
    pub(super) attempts: u32,
}

/// The names that wait: a queue per client, served in turn.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    clients: VecDeque<(u64, VecDeque<NewChannel>)>,
    /// The names in the queues, and those that were taken and not finished.
    unfinished: HashSet<ChannelName>,
}

impl Backlog {
    /// Adds a name, unless it waits already or the client has used its share. A full backlog makes room by dropping a name
    /// of the client that has the most.
    pub(super) fn push(&mut self, new: NewChannel) {
        if self.unfinished.contains(&new.name) {
            return;
        }
        if self.unfinished.len() >= MAX_NAMES {
            let longest = self.clients.iter_mut().map(|(_, queue)| queue).max_by_key(|queue| queue.len());
            let Some(dropped) = longest.and_then(VecDeque::pop_back) else { return };
            self.unfinished.remove(&dropped.name);
        }
        self.enqueue(new);
    }

    fn enqueue(&mut self, new: NewChannel) {
        let index = self.clients.iter().position(|(client, _)| *client == new.client).unwrap_or_else(|| {
            self.clients.push_back((new.client, VecDeque::new()));
            self.clients.len() - 1
        });
        let queue = &mut self.clients[index].1;
        if queue.len() < MAX_NAMES_PER_CLIENT {
            self.unfinished.insert(new.name.clone());
            queue.push_back(new);
        } else {
            self.unfinished.remove(&new.name);
        }
    }

    /// Takes the next name. It stays unfinished until [`finish`](Self::finish) or [`put_back`](Self::put_back).
    pub(super) fn pop(&mut self) -> Option<NewChannel> {
        let (client, mut queue) = self.clients.pop_front()?;
        let next = queue.pop_front();
        if !queue.is_empty() {
            self.clients.push_back((client, queue));
        }
        next
    }

    /// Records that a name was read, or is not a channel.
    pub(super) fn finish(&mut self, name: &ChannelName) {
        self.unfinished.remove(name);
    }

    /// Returns a name that could not be read to the end of its queue.
    pub(super) fn put_back(&mut self, new: NewChannel) {
        self.enqueue(new);
    }

    /// Returns whether [`pop`](Self::pop) would return a name.
    pub(super) fn has_waiting(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Returns the unfinished names.
    pub(super) fn names(&self) -> impl Iterator<Item = &ChannelName> {
        self.unfinished.iter()
    }

    /// Returns the number of unfinished names.
    pub(super) fn len(&self) -> usize {
        self.unfinished.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(client: u64, n: usize) -> NewChannel {
        NewChannel { name: ChannelName::new(&format!("new_{client}_{n}")).unwrap(), client, attempts: 0 }
    }

    fn names(backlog: &mut Backlog) -> Vec<String> {
        std::iter::from_fn(|| backlog.pop()).map(|new| new.name.to_string()).collect()
    }

    #[test]
    fn names_are_read_in_order_and_clients_in_turn() {
        let mut backlog = Backlog::default();
        for n in [0, 1, 1, 2] {
            backlog.push(new(7, n));
        }
        backlog.push(new(8, 0));
        assert_eq!(names(&mut backlog), ["new_7_0", "new_8_0", "new_7_1", "new_7_2"]);
    }

    #[test]
    fn unfinished_names_are_not_added_again() {
        let mut backlog = Backlog::default();
        backlog.push(new(7, 0));
        let taken = backlog.pop().unwrap();
        backlog.push(new(8, 0));
        backlog.push(taken.clone());
        assert_eq!(names(&mut backlog), ["new_8_0"]);
        backlog.put_back(taken.clone());
        assert_eq!(names(&mut backlog), ["new_7_0"]);
        backlog.finish(&taken.name);
        backlog.push(taken);
        assert_eq!(names(&mut backlog), ["new_7_0"]);
    }

    #[test]
    fn invented_names_of_a_client_do_not_fill_the_backlog() {
        let mut backlog = Backlog::default();
        for client in 0..10 {
            (0..MAX_NAMES).for_each(|n| backlog.push(new(client, n)));
        }
        assert_eq!(backlog.len(), MAX_NAMES);
        (0..100).for_each(|n| backlog.push(new(77, n)));
        assert_eq!(backlog.len(), MAX_NAMES);
        let first: Vec<_> = names(&mut backlog).into_iter().take(1200).collect();
        assert_eq!(first.iter().filter(|name| name.starts_with("new_77_")).count(), 100);
    }
}
