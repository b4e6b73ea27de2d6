use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::{
    super::{app::News, model::tests::status},
    *,
};
use crate::proto::{HealthCheck, HealthStatus};

/// What is on the screen, line by line, and whether anything is coloured.
fn drawn(app: &App, width: u16, height: u16, look: Look) -> (Vec<String>, bool) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, look)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let lines = (0..height).map(|y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    });
    let colored = buffer
        .content()
        .iter()
        .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    (lines.collect(), colored)
}

fn lines(app: &App, width: u16, height: u16) -> Vec<String> {
    drawn(app, width, height, Look::new(true)).0
}

fn app() -> App {
    let mut app = App::default();
    for second in 0..30 {
        let status = status(2000 + second, second as u64 * 10);
        app.hear(News::Status(Box::new(status)));
    }
    app
}

/// The one line that has `text`.
fn with<'a>(lines: &'a [String], text: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
    assert_eq!(found.len(), 1, "{text:?} in {lines:#?}");
    found[0]
}

#[test]
fn eighty_by_twenty_four_shows_all() {
    let lines = lines(&app(), 80, 24);
    assert!(
        lines[0].starts_with("berth 0.1.0  quay-7  up 17m 09s"),
        "{}",
        lines[0]
    );
    assert!(lines[0].ends_with("ready healthy"), "{}", lines[0]);
    assert!(lines[1].starts_with("waiting 0/100  running 0  broker 40 MiB  fds 22/1024"));
    assert!(
        lines[2].starts_with("fetches 10/s  failed 1.0/s  p50 12 ms  p95 340 ms  http 2 active")
    );
    let lease = with(&lines, "> 0198f2c1…aaaa");
    assert!(
        lease.contains("browser-1") && lease.contains("42s"),
        "{lease}"
    );
    assert!(
        with(&lines, "0198f2c1…bbbb").starts_with("  "),
        "not selected"
    );
    let browser = with(&lines, "browser-3");
    assert!(
        browser.contains("idle") && browser.contains("120 MiB"),
        "{browser}"
    );
    with(&lines, "Leases 2, by grant");
    with(&lines, "Browsers 3 of 4, by name");
    with(
        &lines,
        "lease-0198f2c1-0000-7000-8000-00000000aaaa  ends in 42s",
    );
    assert!(lines[23].starts_with("q quit"), "{}", lines[23]);
    assert!(
        lines.iter().any(|line| line.contains('█')),
        "the charts have bars"
    );
}

#[test]
fn a_wide_screen_has_room_for_labels_too() {
    let lines = lines(&app(), 120, 40);
    assert!(with(&lines, "> 0198f2c1…aaaa").contains("job=<browser-1>"));
    with(&lines, "LABELS");
    with(&lines, "PROCS");
}

#[test]
fn a_narrow_screen_keeps_what_matters() {
    let lines = lines(&app(), 40, 12);
    assert!(lines[0].ends_with("ready healthy"), "{}", lines[0]);
    assert!(with(&lines, "> 0198f2c1…aaaa").contains("42s"));
    assert!(
        !lines.iter().any(|line| line.contains('█')),
        "no room for charts"
    );
}

#[test]
fn no_size_is_too_small_to_draw() {
    for (width, height) in [(1, 1), (29, 50), (200, 9), (30, 10), (31, 19), (500, 3)] {
        let lines = lines(&app(), width, height);
        assert_eq!(lines.len(), usize::from(height));
    }
    assert!(lines(&app(), 60, 4)[0].starts_with("too small: 30x10"));
}

#[test]
fn without_colours_the_same_is_said() {
    let mut ill = app();
    ill.hear(News::Lost {
        why: "refused".into(),
        again: Duration::from_secs(2),
    });
    let (with, colored) = drawn(&ill, 80, 24, Look::new(true));
    let (without, plain) = drawn(&ill, 80, 24, Look::new(false));
    assert_eq!(with, without);
    assert!(colored && !plain);
}

#[test]
fn what_is_wrong_is_in_sight() {
    let mut app = app();
    let mut ill = status(2031, 300);
    ill.health = HealthStatus::Degraded.into();
    ill.draining = true;
    ill.ready = false;
    ill.checks = vec![HealthCheck {
        name: "browser_pool".into(),
        status: HealthStatus::Degraded.into(),
        detail: "last launch error: no such file".into(),
    }];
    app.hear(News::Status(Box::new(ill)));
    app.hear(News::Lost {
        why: "connection refused".into(),
        again: Duration::from_secs(2),
    });
    let lines = lines(&app, 80, 24);
    assert!(lines[0].ends_with("OLD draining degraded"), "{}", lines[0]);
    with(
        &lines,
        "connection lost, again in 2.0 s: connection refused",
    );
    with(
        &lines,
        "! browser pool degraded: last launch error: no such file",
    );
}

#[test]
fn questions_answers_and_help_are_shown() {
    let mut app = app();
    app.press(KeyCode::Char('e').into());
    with(
        &lines(&app, 80, 24),
        "y/n: end lease-0198f2c1-0000-7000-8000-00000000aaaa?",
    );
    app.press(KeyCode::Char('n').into());
    with(&lines(&app, 80, 24), "nothing was done");
    app.hear(News::Done(Err(
        "browser-1 is leased (BROWSER_LEASED)".into()
    )));
    with(
        &lines(&app, 80, 24),
        "not done: browser-1 is leased (BROWSER_LEASED)",
    );
    app.press(KeyCode::Char('p').into());
    assert!(lines(&app, 80, 24)[0].contains("PAUSED ready"));
    app.press(KeyCode::Char('?').into());
    with(&lines(&app, 80, 24), "retire the selected browser");
    with(&lines(&app, 30, 10), "keys");
}

#[test]
fn before_the_first_status_it_says_so() {
    let mut app = App::default();
    assert!(lines(&app, 80, 24)[0].contains("waiting for the broker"));
    app.hear(News::Lost {
        why: "no broker at http://127.0.0.1:1".into(),
        again: Duration::from_millis(500),
    });
    with(&lines(&app, 80, 24), "no broker at http://127.0.0.1:1");
}

#[test]
fn a_long_list_scrolls_to_the_selected_row() {
    let mut app = App::default();
    let mut many = status(2000, 0);
    let one = many.browsers[2].clone();
    many.browsers = (1..=200)
        .map(|number| {
            let mut browser = one.clone();
            browser.id = format!("browser-{number}");
            browser
        })
        .collect();
    app.hear(News::Status(Box::new(many)));
    app.press(KeyCode::Tab.into());
    app.press(KeyCode::End.into());
    with(&lines(&app, 80, 24), "> browser-200");
}
