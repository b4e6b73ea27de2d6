//! Equal requests at the same time: one is sent, and all are answered with what it brings.
//!
//! The first to ask *leads*, the others *follow*. When the leader's answer may serve others, they
//! get it; when it may not, they go each alone; and when the leader fails, or leaves, one of the
//! followers leads in its place. When that one fails, too, they go each alone: to fail one after the
//! other would take the last of them long. Nobody waits longer than its own deadline, for each waits by
//! itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::{sync::watch, time::Instant};

use super::Entry;

/// The requests that are under way; clones share them.
#[derive(Clone, Debug)]
pub(in super::super) struct Flights(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    under_way: Mutex<HashMap<String, Weak<Flight>>>,
    /// Questions whose answers may not be shared, and since when that is known: who waited for
    /// one of those would wait for nothing.
    alone: Cache<String, Instant>,
}

#[derive(Debug)]
struct Flight {
    question: String,
    state: watch::Sender<State>,
    /// One that led has failed.
    failed: AtomicBool,
    all: Weak<Inner>,
}

#[derive(Clone, Debug)]
enum State {
    /// Somebody leads.
    Led,
    /// Nobody does.
    Left,
    /// Here is the answer.
    Landed(Arc<Entry>),
    /// The answer is not for others.
    Scattered,
}

/// What a request is to do.
#[derive(Debug)]
pub(in super::super) enum Part {
    /// Ask, for all.
    Lead(Lead),
    /// Wait for who asks.
    Follow(Follow),
    /// Ask for itself.
    Alone,
}

/// Who asks for all.
#[derive(Debug)]
pub(in super::super) struct Lead(Arc<Flight>);

/// Who waits.
#[derive(Debug)]
pub(in super::super) struct Follow {
    flight: Arc<Flight>,
    state: watch::Receiver<State>,
}

/// What came of waiting.
#[derive(Debug)]
pub(in super::super) enum Outcome {
    /// The answer.
    Landed(Arc<Entry>),
    /// The answer is not for others.
    Scattered,
    /// The one that led is gone: it is this one's turn.
    Lead(Lead),
}

/// So long is believed that answers may not be shared.
const BELIEVED: Duration = Duration::from_secs(30);

/// Of so many questions.
const QUESTIONS: usize = 4096;

impl Flights {
    pub(in super::super) fn new() -> Self {
        Self(Arc::new(Inner {
            under_way: Mutex::default(),
            alone: Cache::new(QUESTIONS),
        }))
    }

    /// Joins whoever asks `question`.
    pub(in super::super) fn join(&self, question: &str) -> Part {
        let since = self.0.alone.get(question);
        if since.is_some_and(|since| since.elapsed() < BELIEVED) {
            return Part::Alone;
        }
        let mut under_way = self.0.under_way.lock();
        if let Some(flight) = under_way.get(question).and_then(Weak::upgrade) {
            let state = flight.state.subscribe();
            return Part::Follow(Follow { flight, state });
        }
        let flight = Arc::new(Flight {
            question: question.to_owned(),
            state: watch::Sender::new(State::Led),
            failed: AtomicBool::new(false),
            all: Arc::downgrade(&self.0),
        });
        under_way.insert(question.to_owned(), Arc::downgrade(&flight));
        Part::Lead(Lead(flight))
    }

    /// Takes back that the answer to `question` may not be shared.
    pub(in super::super) fn shared_again(&self, question: &str) {
        self.0.alone.remove(question);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.under_way.lock().len()
    }
}

impl Lead {
    /// Answers all who wait.
    pub(in super::super) fn land(self, entry: Arc<Entry>) {
        self.end(State::Landed(entry));
    }

    /// There is no answer: one of those who wait leads, or after a second failure nobody.
    pub(in super::super) fn fail(self) {
        if self.0.failed.swap(true, Ordering::Relaxed) {
            self.scatter();
        }
    }

    /// Tells all who wait that they must ask for themselves, and those that come for a while.
    pub(in super::super) fn scatter(self) {
        if let Some(all) = self.0.all.upgrade() {
            all.alone.insert(self.0.question.clone(), Instant::now());
        }
        self.end(State::Scattered);
    }

    fn end(self, state: State) {
        // First, so that who comes later does not join what is over.
        if let Some(all) = self.0.all.upgrade() {
            all.under_way.lock().remove(&self.0.question);
        }
        self.0.state.send_replace(state);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            let leads = matches!(state, State::Led);
            if leads {
                *state = State::Left;
            }
            leads
        });
    }
}

impl Follow {
    /// Waits for the end of the flight, or for the lead.
    ///
    /// # Cancel safety
    /// Yes: it does not follow any more.
    pub(in super::super) async fn outcome(mut self) -> Outcome {
        loop {
            let state = self
                .state
                .wait_for(|state| !matches!(state, State::Led))
                .await;
            // The flight has the other end, and we have the flight.
            let state = state.map_or(State::Scattered, |state| state.clone());
            match state {
                State::Landed(entry) => return Outcome::Landed(entry),
                State::Scattered => return Outcome::Scattered,
                State::Led => {}
                State::Left => {
                    let mut ours = false;
                    self.flight.state.send_if_modified(|state| {
                        ours = matches!(state, State::Left);
                        if ours {
                            *state = State::Led;
                        }
                        ours
                    });
                    if ours {
                        return Outcome::Lead(Lead(self.flight));
                    }
                }
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else {
            return;
        };
        let mut under_way = all.under_way.lock();
        let ours = under_way.get(&self.question);
        // Another may have begun since.
        if ours.is_some_and(|flight| flight.strong_count() == 0) {
            under_way.remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{FutureExt, future::join_all};
    use http::{HeaderMap, StatusCode, Uri, Version};

    use super::{
        super::{
            super::exchange::{Answer, Times},
            Question,
        },
        *,
    };

    fn entry() -> Arc<Entry> {
        let answer = Answer {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            coded: false,
            times: Times::default(),
        };
        let question = Question::new(Uri::from_static("http://a/"), HeaderMap::new());
        Arc::new(Entry::new(&question, &answer, std::time::SystemTime::now()))
    }

    fn lead(flights: &Flights) -> Lead {
        match flights.join("q") {
            Part::Lead(lead) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn follow(flights: &Flights) -> Follow {
        match flights.join("q") {
            Part::Follow(follow) => follow,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn all_get_what_the_leader_brings() {
        let flights = Flights::new();
        let leader = lead(&flights);
        let others = join_all((0..99).map(|_| follow(&flights).outcome()));
        leader.land(entry());
        assert_eq!(flights.len(), 0);
        for outcome in others.await {
            assert!(matches!(outcome, Outcome::Landed(_)));
        }
        drop(lead(&flights));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn one_follower_leads_when_the_leader_is_gone() {
        let flights = Flights::new();
        let leader = lead(&flights);
        let mut others: Vec<_> = (0..3)
            .map(|_| Box::pin(follow(&flights).outcome()))
            .collect();
        drop(leader);
        let second = match others.remove(1).await {
            Outcome::Lead(lead) => lead,
            other => panic!("{other:?}"),
        };
        for other in &mut others {
            assert!(
                other.now_or_never().is_none(),
                "one leads, the others follow"
            );
        }
        second.land(entry());
        for other in others {
            assert!(matches!(other.await, Outcome::Landed(_)));
        }
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn what_is_not_for_others_scatters_them() {
        let flights = Flights::new();
        let (leader, other) = (lead(&flights), follow(&flights));
        leader.scatter();
        assert!(matches!(other.outcome().await, Outcome::Scattered));
        assert!(matches!(flights.join("q"), Part::Alone), "for a while");
        flights.shared_again("q");
        assert!(matches!(flights.join("q"), Part::Lead(_)));
    }
}
