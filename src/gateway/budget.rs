//! How much memory the messages under way may take, those of all clients together.
//!
//! A message has to be there as a whole to be judged. Those of ordinary size are bounded by the number
//! of connections; the rare large ones share what there is, so that one client with many
//! connections does not take the broker's memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What every connection may hold on top, in bytes.
const FREE: usize = 1 << 20;
/// What all messages beyond that may take together, in bytes.
const MOST: usize = 512 << 20;

/// What is taken; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// What one connection has of it. Given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    taken: usize,
}

impl Budget {
    /// A share of nothing so far.
    pub(super) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            taken: 0,
        }
    }
}

impl Share {
    /// Takes what a message of `length` bytes needs. Tells whether it was there.
    pub(super) fn grow(&mut self, length: usize) -> bool {
        let wanted = if length > FREE { length } else { 0 };
        let more = wanted.saturating_sub(self.taken);
        if more == 0 {
            return true;
        }
        let (order, taken) = (Ordering::Relaxed, &self.budget.0);
        let fits = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= MOST);
        let fitted = taken.fetch_update(order, order, fits).is_ok();
        if fitted {
            self.taken = wanted;
        }
        fitted
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.budget.0.fetch_sub(taken, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_share_what_there_is_and_small_ones_need_none() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.grow(100 << 20));
        assert!(one.grow(MOST - FREE));
        assert!(other.grow(FREE));
        assert!(!other.grow(FREE + 1));
        assert!(other.grow(FREE), "small ones always pass");
        one.release();
        assert!(other.grow(FREE + 1));
        drop(other);
        assert!(one.grow(MOST));
        drop(one);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
