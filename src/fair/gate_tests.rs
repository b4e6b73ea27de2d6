use futures::poll;

use super::*;

fn wait(gate: &Gate, party: &Party) -> Ticket {
    match gate.enter(party, true) {
        Ok(Entry::Waits(ticket)) => ticket,
        other => panic!("it waits: {other:?}"),
    }
}

fn pass(gate: &Gate) -> Pass {
    match gate.enter(&Party::default(), true) {
        Ok(Entry::In(pass)) => pass,
        other => panic!("there is room: {other:?}"),
    }
}

#[tokio::test]
async fn passes_go_round_and_the_gone_leave_no_trace() {
    let gate = Gate::new(1, 10);
    let held = pass(&gate);
    let (a, b) = (Party::new("a", 9), Party::new("b", 9));
    let mut waiting = [
        wait(&gate, &a),
        wait(&gate, &a),
        wait(&gate, &a),
        wait(&gate, &b),
    ];
    let places: Vec<_> = waiting.iter().map(|one| one.position().now()).collect();
    assert_eq!(places, [1, 3, 4, 2]);
    assert!(poll!(Box::pin(waiting[0].turn())).is_pending());
    drop(held);
    let [first, second, third, mut other] = waiting;
    // One that was let in and leaves without looking gives it to the next.
    drop(first);
    let held = other.turn().await.unwrap();
    assert_eq!(other.position().now(), 0);
    assert_eq!((second.position().now(), third.position().now()), (1, 2));
    drop(second);
    assert_eq!((third.position().now(), gate.waiting()), (1, 1));
    drop(held);
    assert_eq!((gate.waiting(), gate.inside()), (0, 1));
    drop(third);
    assert_eq!((gate.inside(), gate.is_full()), (0, false));
}

#[tokio::test]
async fn nobody_overtakes_a_waiting_one() {
    let gate = Gate::new(1, 10);
    let held = pass(&gate);
    let mut first = wait(&gate, &Party::default());
    drop(held);
    let second = wait(&gate, &Party::new("b", 1));
    assert_eq!(second.position().now(), 1);
    assert!(first.turn().await.is_ok());
}

#[tokio::test]
async fn a_full_line_has_room_for_whoever_has_fewer_in_it() {
    let gate = Gate::new(1, 3);
    let _held = pass(&gate);
    let (a, b) = (Party::new("a", 9), Party::new("b", 1));
    let mut own: Vec<_> = (0..3).map(|_| wait(&gate, &a)).collect();
    assert_eq!(gate.enter(&a, true).unwrap_err(), Refused::Full);
    assert!(matches!(gate.enter(&a, false), Ok(Entry::Waits(_))));
    let other = wait(&gate, &b);
    assert_eq!(gate.enter(&b, true).unwrap_err(), Refused::Share(1));
    assert_eq!(own[2].turn().await.unwrap_err(), Refused::Full);
    assert_eq!(own[2].position().now(), 0);
    assert_eq!((other.position().now(), gate.waiting()), (2, 3));
    assert!(poll!(Box::pin(own[1].turn())).is_pending());
}

#[tokio::test]
async fn places_are_told_when_they_change() {
    let gate = Gate::new(1, 9);
    let held = pass(&gate);
    let (a, b) = (Party::new("a", 9), Party::new("b", 9));
    let _first = wait(&gate, &a);
    let second = wait(&gate, &a);
    let mut position = second.position();
    assert_eq!(position.now(), 2);
    assert!(poll!(Box::pin(position.moved())).is_pending());
    let other = wait(&gate, &b);
    position.moved().await;
    assert_eq!(position.now(), 3, "the other's turn comes before");
    drop(held);
    position.moved().await;
    assert_eq!(position.now(), 2);
    drop(other);
    position.moved().await;
    assert_eq!(position.now(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_among_many_that_come_and_go() {
    let gate = Gate::new(3, usize::MAX);
    let tasks = (0..200_usize).map(|number| {
        let gate = gate.clone();
        async move {
            let party = Party::new((number % 7).to_string(), usize::MAX);
            for round in 0..50 {
                match gate.enter(&party, true).unwrap() {
                    Entry::In(pass) => {
                        tokio::task::yield_now().await;
                        drop(pass);
                    }
                    Entry::Waits(mut ticket) if (number + round) % 3 > 0 => {
                        drop(ticket.turn().await.unwrap());
                    }
                    Entry::Waits(ticket) => {
                        tokio::task::yield_now().await;
                        drop(ticket);
                    }
                }
                assert!(gate.inside() <= 3);
            }
        }
    });
    let mut tasks: tokio::task::JoinSet<()> = tasks.collect();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!((gate.waiting(), gate.inside()), (0, 0));
}
