use proptest::prelude::*;

use super::*;

fn party(key: impl ToString) -> Party {
    Party::new(key.to_string(), usize::MAX)
}

/// The same by the plainest means: a list of those who wait, and the parties in turn.
#[derive(Default)]
struct Model {
    ring: Vec<u8>,
    waiting: Vec<(u8, Number, bool)>,
}

impl Model {
    fn push(&mut self, party: u8, number: Number, counted: bool) {
        if !self.ring.contains(&party) {
            self.ring.push(party);
        }
        self.waiting.push((party, number, counted));
    }

    fn pop(&mut self) -> Option<Number> {
        let party = *self.ring.first()?;
        let at = self.waiting.iter().position(|one| one.0 == party)?;
        let (_, number, _) = self.waiting.remove(at);
        self.ring.rotate_left(1);
        self.forget(party);
        Some(number)
    }

    fn remove(&mut self, number: Number) -> bool {
        let at = self.waiting.iter().position(|one| one.1 == number);
        let Some(at) = at else { return false };
        let (party, ..) = self.waiting.remove(at);
        self.forget(party);
        true
    }

    fn crowd_out(&mut self, newcomer: u8) -> Option<Number> {
        let count = |party| {
            let mine = self.waiting.iter().filter(|one| one.0 == party && one.2);
            mine.count()
        };
        let most = self.ring.iter().copied().max_by_key(|one| count(*one))?;
        if count(newcomer) + 1 >= count(most) {
            return None;
        }
        let newest = self.waiting.iter().rfind(|one| one.0 == most && one.2)?.1;
        self.remove(newest);
        Some(newest)
    }

    fn forget(&mut self, party: u8) {
        if !self.waiting.iter().any(|one| one.0 == party) {
            self.ring.retain(|one| *one != party);
        }
    }

    /// All of them in the order in which they will be served.
    fn order(&self) -> Vec<Number> {
        let mut rest = Self {
            ring: self.ring.clone(),
            waiting: self.waiting.clone(),
        };
        std::iter::from_fn(|| rest.pop()).collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u8, bool),
    Pop,
    Remove(Number),
    CrowdOut(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..4, prop::bool::weighted(0.8)).prop_map(|(party, counted)| Step::Push(party, counted)),
        3 => Just(Step::Pop),
        2 => (0_u64..60).prop_map(Step::Remove),
        1 => (0_u8..4).prop_map(Step::CrowdOut),
    ]
}

proptest! {
    #[test]
    fn the_line_is_as_its_model(steps in prop::collection::vec(step(), 1..120)) {
        let (mut line, mut model) = (Line::default(), Model::default());
        let mut of = HashMap::new();
        for step in steps {
            match step {
                Step::Push(key, counted) => {
                    let next = line.next_number;
                    let number = line.push(&party(key), counted, next);
                    prop_assert_eq!(number, next);
                    of.insert(number, party(key));
                    model.push(key, number, counted);
                }
                Step::Pop => prop_assert_eq!(line.pop(), model.pop()),
                Step::Remove(number) => {
                    let party = of.get(&number).cloned().unwrap_or_default();
                    let gone = line.remove(&party, number);
                    prop_assert_eq!(gone.is_some(), model.remove(number));
                }
                Step::CrowdOut(key) => {
                    prop_assert_eq!(line.crowd_out(&party(key)), model.crowd_out(key));
                }
            }
            let order = model.order();
            for (at, number) in order.iter().enumerate() {
                prop_assert_eq!(line.position(&of[number], *number), at + 1);
            }
            let counted = model.waiting.iter().filter(|one| one.2).count();
            prop_assert_eq!(line.counted(), counted);
            prop_assert_eq!(line.is_empty(), order.is_empty());
            prop_assert_eq!(line.parties().len(), model.ring.len(), "parties are forgotten");
            prop_assert_eq!(line.shares.len(), model.ring.len());
        }
        let order = model.order();
        let served: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        prop_assert_eq!(served, order);
    }

    #[test]
    fn nobody_starves_and_nobody_overtakes_its_own(
        before in prop::collection::vec(0_u8..5, 0..80),
        coming in prop::collection::vec(0_u8..5, 0..80),
    ) {
        let mut line = Line::default();
        let mut each: HashMap<u8, VecDeque<Number>> = HashMap::new();
        for key in before {
            let number = line.push(&party(key), true, (key, line.next_number));
            each.entry(key).or_default().push_back(number);
        }
        let late = party("late");
        let parties = line.parties().len();
        let number = line.push(&late, true, (9, line.next_number));
        prop_assert_eq!(line.position(&late, number), parties + 1, "one of each is before it");
        each.entry(9).or_default().push_back(number);
        // However many come after it, and of whomever, one round is all that it waits.
        let mut coming = coming.into_iter();
        let mut rounds = 0;
        loop {
            for key in coming.by_ref().take(3) {
                let number = line.push(&party(key), true, (key, line.next_number));
                each.entry(key).or_default().push_back(number);
            }
            let Some((key, number)) = line.pop() else { break };
            rounds += 1;
            prop_assert_eq!(each.get_mut(&key).and_then(VecDeque::pop_front), Some(number));
            if key == 9 {
                prop_assert!(rounds <= parties + 1);
            }
        }
        prop_assert!(each.values().all(VecDeque::is_empty));
    }

    #[test]
    fn one_party_is_served_in_the_order_of_arrival(count in 0_u64..50) {
        let mut line = Line::default();
        for number in 0..count {
            line.push(&Party::default(), true, number);
        }
        let served: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        prop_assert_eq!(served, (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn who_has_most_makes_room_and_loses_what_came_last() {
    let mut line = Line::default();
    for name in ["a1", "a2", "a3"] {
        line.push(&party('a'), true, name);
    }
    line.push(&party('a'), false, "stands for others");
    assert_eq!(line.crowd_out(&party('a')), None, "not for its own");
    assert_eq!(line.crowd_out(&party('b')), Some("a3"));
    line.push(&party('b'), true, "b1");
    assert_eq!(
        line.crowd_out(&party('b')),
        None,
        "as many as the other then"
    );
    assert_eq!(line.crowd_out(&party('c')), Some("a2"));
    line.push(&party('c'), true, "c1");
    assert_eq!(line.crowd_out(&party('d')), None, "all have one");
    assert_eq!((line.counted(), line.waiting_of(&party('a'))), (3, 1));
    let all: Vec<_> = line.take_all().collect();
    assert_eq!(all.len(), 4);
    assert!(line.is_empty() && line.pop().is_none() && line.parties().len() == 0);
}
