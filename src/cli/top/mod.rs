//! `berth top`: the live picture of a broker, with keys to act on it.
//!
//! `model`, `rows` and `app` are pure: statuses and keys go in, rows and wishes come out. `view` and
//! `plain` draw them, `link` is the way to the broker, and here is the loop between all of these.

mod app;
mod columns;
mod link;
mod look;
mod model;
mod plain;
mod rows;
mod screen;
mod spark;
mod view;
mod words;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use crossterm::event::{Event, EventStream, KeyEventKind};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};
use tokio_stream::StreamExt;

use self::{
    app::{App, News, Wish},
    look::Look,
    model::Model,
    screen::Screen,
};
use super::{
    client::{Target, parse_duration, runtime},
    exit::Failure,
    signals::Signals,
};

/// Watch a broker: browsers, leases, queue and fetches, live
///
/// Keys: arrows or j k and tab move, r retires the selected browser, e ends the selected lease,
/// d drains, u takes new work again, each after a y; s sorts, p pauses, ? helps, q quits. When standard
/// output is no terminal, one picture is printed as text. NO_COLOR is honoured.
#[derive(Args, Clone, Debug)]
pub(super) struct TopArgs {
    #[command(flatten)]
    target: Target,
    /// How often to look: 100ms to 1m
    #[arg(long, default_value = "1s", value_parser = parse_interval, value_name = "DURATION")]
    interval: Duration,
    /// Print one picture as text and exit
    #[arg(long)]
    once: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
    let wrong = "wanted 100ms to 1m";
    Some(interval)
        .filter(|interval| allowed.contains(interval))
        .ok_or_else(|| wrong.into())
}

pub(super) fn run(args: TopArgs) -> Result<ExitCode, Failure> {
    // A terminal that cannot move its cursor has no use for a screen.
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let live = !args.once && !dumb && std::io::stdout().is_terminal();
    runtime()?.block_on(async {
        if live {
            watch(args).await
        } else {
            print(&args).await
        }
    })
}

async fn print(args: &TopArgs) -> Result<ExitCode, Failure> {
    let mut model = Model::default();
    model.update(link::once(&args.target, args.interval).await?);
    write!(std::io::stdout(), "{}", plain::picture(&model))?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(args: TopArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let (tell, mut news) = mpsc::channel(16);
    let mut following = JoinSet::new();
    let target = args.target.clone();
    following.spawn(link::follow(target, args.interval, tell.clone()));
    let mut deeds = JoinSet::new();
    let mut app = App::default();
    let look = Look::of_environment();
    let mut screen = Screen::open()?;
    let mut events = EventStream::new();
    loop {
        screen.draw(|frame| view::draw(frame, &app, look))?;
        tokio::select! {
            Some(heard) = news.recv() => app.hear(heard),
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    match app.press(key) {
                        Wish::Nothing => {}
                        Wish::Quit => break,
                        Wish::Do(deed) => {
                            let (target, tell) = (args.target.clone(), tell.clone());
                            deeds.spawn(async move {
                                let done = link::act(&target, deed).await;
                                // The receiver lives as long as the loop.
                                let _ = tell.send(News::Done(done)).await;
                            });
                        }
                    }
                }
                Some(Ok(_resized_or_focused)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => break,
            },
            Some(ended) = following.join_next() => if let Ok(Err(failure)) = ended {
                return Err(failure);
            },
            Some(_done) = deeds.join_next() => {}
            _ = signals.next() => break,
            _ = hung_up.recv() => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}
