//! News to many readers: a bounded ring that the sender never waits for. Who reads too slowly is told how much is gone.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// The sending end. Clones share the ring.
#[derive(Debug)]
pub struct Broadcast<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    ring: Mutex<Ring<T>>,
    news: Condvar,
}

#[derive(Debug)]
struct Ring<T> {
    capacity: usize,
    kept: VecDeque<T>,
    /// Items sent so far; the newest kept one has number `sent - 1`.
    sent: u64,
    subscribers: usize,
    closed: bool,
    wakers: Vec<Waker>,
}

/// What a subscriber hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// The next item.
    Item(T),
    /// So many items were sent and are gone; the next item follows behind them.
    Missed(u64),
    /// Nothing follows.
    Closed,
}

/// One reader; hears what is sent after it was made.
#[derive(Debug)]
pub struct Subscription<T> {
    shared: Arc<Shared<T>>,
    next: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Broadcast<T> {
    /// Keeps the newest `capacity` items (at least one) for those who read slowly.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let ring = Ring { capacity, kept: VecDeque::new(), sent: 0, subscribers: 0, closed: false, wakers: Vec::new() };
        Self(Arc::new(Shared { ring: Mutex::new(ring), news: Condvar::new() }))
    }

    /// Sends to every subscriber. Never waits for one; without any it only counts.
    pub fn send(&self, item: T) {
        let mut ring = lock(&self.0.ring);
        ring.sent += 1;
        if ring.subscribers == 0 {
            return;
        }
        if ring.kept.len() == ring.capacity {
            ring.kept.pop_front();
        }
        ring.kept.push_back(item);
        self.wake(ring);
    }

    /// Whether anybody listens; if not, there is no need to make an item.
    pub fn is_heard(&self) -> bool {
        lock(&self.0.ring).subscribers > 0
    }

    /// A reader of what is sent from now on.
    pub fn subscribe(&self) -> Subscription<T> {
        let mut ring = lock(&self.0.ring);
        ring.subscribers += 1;
        Subscription { shared: Arc::clone(&self.0), next: ring.sent }
    }

    /// Tells every subscriber that nothing follows.
    pub fn close(&self) {
        let mut ring = lock(&self.0.ring);
        ring.closed = true;
        self.wake(ring);
    }

    fn wake(&self, mut ring: MutexGuard<'_, Ring<T>>) {
        let wakers = std::mem::take(&mut ring.wakers);
        drop(ring);
        self.0.news.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T: Clone> Ring<T> {
    /// What comes at `next`, which is moved on; `None` where nothing is there yet.
    fn hear(&self, next: &mut u64) -> Option<Heard<T>> {
        let oldest = self.sent - self.kept.len() as u64;
        if *next < oldest {
            let missed = oldest - *next;
            *next = oldest;
            return Some(Heard::Missed(missed));
        }
        if let Some(item) = self.kept.get((*next - oldest) as usize) {
            *next += 1;
            return Some(Heard::Item(item.clone()));
        }
        self.closed.then_some(Heard::Closed)
    }
}

impl<T: Clone> Subscription<T> {
    /// What comes next, waiting at most `wait`; `None` if nothing came.
    pub fn wait(&mut self, wait: Duration) -> Option<Heard<T>> {
        let deadline = Instant::now() + wait;
        let mut ring = lock(&self.shared.ring);
        loop {
            if let Some(heard) = ring.hear(&mut self.next) {
                return Some(heard);
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            let waited = self.shared.news.wait_timeout(ring, left);
            ring = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What comes next, for asynchronous readers.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Heard<T>> {
        let mut ring = lock(&self.shared.ring);
        if let Some(heard) = ring.hear(&mut self.next) {
            return Poll::Ready(heard);
        }
        if !ring.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            ring.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        let mut ring = lock(&self.shared.ring);
        ring.subscribers -= 1;
        if ring.subscribers == 0 {
            ring.kept.clear();
            ring.wakers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_subscriber_hears_what_is_sent_after_it_came() {
        let broadcast = Broadcast::new(4);
        broadcast.send(0);
        assert!(!broadcast.is_heard());
        let mut first = broadcast.subscribe();
        broadcast.send(1);
        let mut second = broadcast.subscribe();
        broadcast.send(2);
        assert_eq!(first.wait(SOON), Some(Heard::Item(1)));
        assert_eq!(first.wait(SOON), Some(Heard::Item(2)));
        assert_eq!(second.wait(SOON), Some(Heard::Item(2)));
        assert_eq!(second.wait(Duration::ZERO), None);
        broadcast.close();
        assert_eq!(second.wait(SOON), Some(Heard::Closed));
        drop((first, second));
        assert!(!broadcast.is_heard());
    }

    #[test]
    fn a_slow_subscriber_is_told_exactly_what_it_missed() {
        let broadcast = Broadcast::new(3);
        let mut slow = broadcast.subscribe();
        (0..10).for_each(|item| broadcast.send(item));
        assert_eq!(slow.wait(SOON), Some(Heard::Missed(7)));
        let rest: Vec<_> = (0..3).map(|_| slow.wait(SOON)).collect();
        assert_eq!(rest, [7, 8, 9].map(|item| Some(Heard::Item(item))));
    }

    #[test]
    fn what_nobody_heard_is_not_told_to_who_comes_later() {
        let broadcast = Broadcast::new(3);
        drop(broadcast.subscribe());
        broadcast.send(1);
        let mut late = broadcast.subscribe();
        assert_eq!(late.wait(Duration::ZERO), None);
        broadcast.send(2);
        assert_eq!(late.wait(SOON), Some(Heard::Item(2)));
    }

    #[test]
    fn waiting_ends_with_the_next_item() {
        let broadcast = Broadcast::new(1);
        let mut reader = broadcast.subscribe();
        let waiting = thread::spawn(move || reader.wait(SOON));
        broadcast.send(5);
        assert_eq!(waiting.join().unwrap(), Some(Heard::Item(5)));
    }
}
