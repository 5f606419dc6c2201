//! Which connections are open, whose they are and since when they are idle. When there are too many,
//! the one that is idle for longest goes, and first those that never sent a request: thousands of
//! half-sent headers so keep nobody out.
//!
//! **A peer is the address of the socket.** No header says who somebody is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::config::EdgeLimits;

/// How much of an IPv6 address one subscriber has.
const SUBSCRIBER_V6_BITS: u32 = 64;

/// All connections of the server.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    per_peer_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Counts up with all that happens; later is larger.
    now: u64,
    open: BTreeMap<u64, Open>,
    /// Idle ones, those that go first in front.
    idle: BTreeSet<Idle>,
    by_peer: BTreeMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Open {
    peer: IpAddr,
    idle: Option<Idle>,
    closing: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Idle {
    /// Whether it ever was answered.
    served: bool,
    since: u64,
    id: u64,
}

/// No room: everything that could go is being answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Connections {
    pub(super) fn new(limits: &EdgeLimits) -> Arc<Self> {
        Arc::new(Self {
            max: limits.connections,
            per_peer_max: limits.connections_per_peer,
            table: Mutex::default(),
        })
    }

    /// A seat for a new connection, made free by closing an idle one where it has to be.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Full> {
        let peer = subscriber(address);
        let mut table = self.table();
        if table.by_peer.get(&peer).is_some_and(|count| *count >= self.per_peer_max) {
            table.close_idle(Some(peer))?;
        }
        if table.open.len() >= self.max {
            table.close_idle(None)?;
        }
        let (id, closing) = (table.tick(), CancellationToken::new());
        table.open.insert(id, Open { peer, idle: None, closing: closing.clone() });
        *table.by_peer.entry(peer).or_default() += 1;
        table.set_idle(id, Some(false));
        drop(table);
        Ok(Seat { connections: Arc::clone(self), id, peer: Peer(peer), closing })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere leaves the table as it was: nothing below stops half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn close_idle(&mut self, of: Option<IpAddr>) -> Result<(), Full> {
        let is_theirs =
            |id: u64| of.is_none() || self.open.get(&id).is_some_and(|open| Some(open.peer) == of);
        let id = self.idle.iter().map(|idle| idle.id).find(|id| is_theirs(*id)).ok_or(Full)?;
        if let Some(open) = self.remove(id) {
            open.closing.cancel();
        }
        Ok(())
    }

    /// Idle from now on, having been answered before or not; or not idle.
    fn set_idle(&mut self, id: u64, served: Option<bool>) {
        let since = self.tick();
        let Some(open) = self.open.get_mut(&id) else { return };
        if let Some(before) = open.idle.take() {
            self.idle.remove(&before);
        }
        open.idle = served.map(|served| Idle { served, since, id });
        self.idle.extend(open.idle);
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(idle) = &open.idle {
            self.idle.remove(idle);
        }
        if let Some(count) = self.by_peer.get_mut(&open.peer) {
            *count -= 1;
            if *count == 0 {
                self.by_peer.remove(&open.peer);
            }
        }
        Some(open)
    }
}

/// Everything that one subscriber can choose freely is one peer.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> SUBSCRIBER_V6_BITS << SUBSCRIBER_V6_BITS;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

/// Whose connection a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer(IpAddr);

#[cfg(test)]
impl Peer {
    pub(super) const fn of(address: IpAddr) -> Self {
        Self(address)
    }
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    id: u64,
    peer: Peer,
    closing: CancellationToken,
}

impl Seat {
    /// Whose it is.
    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }

    /// A request is being answered: this connection is not idle.
    pub(super) fn begin_answer(&self) {
        self.connections.table().set_idle(self.id, None);
    }

    /// It was answered, and the next one is waited for.
    pub(super) fn end_answer(&self) {
        self.connections.table().set_idle(self.id, Some(true));
    }

    /// Ends when the connection has to make room.
    pub(super) async fn told_to_close(&self) {
        self.closing.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(max: usize, per_peer: usize) -> Arc<Connections> {
        let limits = EdgeLimits {
            connections: max,
            connections_per_peer: per_peer,
            ..EdgeLimits::default()
        };
        Connections::new(&limits)
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_never_sent_a_request_goes_first_then_who_is_idle_for_longest() {
        let all = connections(3, 3);
        let [served, slow, busy] = [1, 2, 3].map(|n| all.enter(peer(n)).expect("room"));
        served.begin_answer();
        served.end_answer();
        busy.begin_answer();
        let fourth = all.enter(peer(4)).expect("room is made");
        assert!(slow.closing.is_cancelled());
        fourth.begin_answer();
        let fifth = all.enter(peer(5)).expect("room is made");
        assert!(served.closing.is_cancelled() && !busy.closing.is_cancelled());
        fifth.begin_answer();
        assert_eq!(all.enter(peer(6)).map(drop), Err(Full), "all are being answered");
        drop(busy);
        assert!(all.enter(peer(6)).is_ok());
    }

    #[test]
    fn one_peer_has_its_share_and_takes_nothing_from_others() {
        let all = connections(10, 2);
        let other = all.enter(peer(1)).expect("room");
        let first = all.enter(peer(2)).expect("room");
        let second = all.enter(peer(2)).expect("room");
        let third = all.enter(peer(2)).expect("room is made");
        assert!(first.closing.is_cancelled() && !other.closing.is_cancelled());
        second.begin_answer();
        third.begin_answer();
        assert_eq!(all.enter(peer(2)).map(drop), Err(Full));
        assert!(all.enter(peer(3)).is_ok());
        drop((first, second));
        assert!(all.enter(peer(2)).is_ok(), "the table forgot what is gone");
    }

    #[test]
    fn a_subscriber_is_one_peer_however_it_writes_its_address() {
        let read = |text: &str| subscriber(text.parse().expect("an address"));
        assert_eq!(read("2001:db8::1"), read("2001:db8::ffff:1"));
        assert_ne!(read("2001:db8::1"), read("2001:db8:0:1::1"));
        assert_eq!(read("::ffff:192.0.2.1"), peer(1));
    }
}
