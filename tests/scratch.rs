use std::{sync::Arc, time::{Duration, Instant}};
use berth::{browser::*, deadline::Deadline, drain::Drain, metrics::Metrics};
#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    tracing_subscriber::fmt().with_env_filter("berth=debug").init();
    let drain = Drain::new(tokio::runtime::Handle::current());
    let dir = tempfile::tempdir().unwrap();
    let (run, swept) = RunDir::claim(dir.path()).unwrap();
    println!("{swept:?}");
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let config = Config { max_browsers: 3, min_warm: 1, seats_per_browser: 8, queue: 100, max_age: Duration::from_secs(300), idle_timeout: Duration::from_secs(60), max_uses: 1000, memory_limit: 0, check_timeout: Duration::from_secs(5), check_interval: Duration::from_secs(5), launch: launch::Options { executable: None, extra_args: vec![], timeout: Duration::from_secs(30) } };
    let pool = Pool::start(config, Arc::new(run), &drain, &Metrics::new().unwrap());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    println!("{:?}", pool.seen());
    for _ in 0..6 {
        let t = Instant::now();
        let d = Deadline::after(Duration::from_secs(10));
        let b = pool.queue().unwrap().browser(&Profile::default(), d, d).await.unwrap();
        println!("acquired {} in {:?}", b.browser().id(), t.elapsed());
        drop(b);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let d = Deadline::after(Duration::from_secs(10));
    let seats = futures::future::join_all((0..20).map(|_| pool.seat(d))).await;
    println!("{:?} {:?}", pool.seats(), pool.seen().len());
    drop(seats);
    println!("{:?} {:?}", pool.seats(), pool.seen().len());
    let mut held = vec![];
    for _ in 0..3 { let t = Instant::now(); held.push(pool.queue().unwrap().browser(&Profile::default(), d, d).await.unwrap()); println!("{:?} {:?}", t.elapsed(), pool.seen().iter().map(|s| s.state).collect::<Vec<_>>()); }
    drop(held);
    let t = Instant::now();
    drain.cut();
    pool.shut_down().await;
    println!("shut down in {:?}", t.elapsed());
    drop(pool);
    tokio::time::timeout(Duration::from_secs(5), drain.closed()).await.unwrap();
}
