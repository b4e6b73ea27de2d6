//! Proxies that are slow, each in its own way, between a client and the broker.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

/// A proxy that keeps what it is given and passes it on in batches, each way.
pub async fn buffering(to: String, batch: Duration) -> (String, JoinSet<()>) {
    between(to, move |from, to| in_batches(from, to, batch)).await
}

/// A proxy that passes on what it is given so much later, each way.
pub async fn late(to: String, delay: Duration) -> (String, JoinSet<()>) {
    between(to, move |from, to| later(from, to, delay)).await
}

/// What passes each way of every connection to `to` by `pass`: its address, and the task that it
/// lives in.
#[allow(clippy::disallowed_methods, reason = "the test's own tasks")]
async fn between<P>(
    to: String,
    pass: impl Fn(OwnedReadHalf, OwnedWriteHalf) -> P + Clone + Send + 'static,
) -> (String, JoinSet<()>)
where
    P: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut proxying = JoinSet::new();
    proxying.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            let ((client_in, client_out), (server_in, server_out)) =
                (client.into_split(), server.into_split());
            let (up, down) = (pass(client_in, server_out), pass(server_in, client_out));
            connections.spawn(async move {
                tokio::select! {
                    () = up => {}
                    () = down => {}
                }
            });
        }
    });
    (address, proxying)
}

async fn in_batches(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, batch: Duration) {
    let mut buffer = Vec::new();
    let mut tick = interval(batch);
    loop {
        tokio::select! {
            read = from.read_buf(&mut buffer) => match read {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            },
            _ = tick.tick() => {
                if to.write_all(&buffer).await.is_err() {
                    return;
                }
                buffer.clear();
            }
        }
    }
}

async fn later(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (keep, mut kept) = mpsc::unbounded_channel();
    let reading = async {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            keep.send((Instant::now() + delay, buffer[..read].to_vec()))
                .unwrap();
        }
    };
    let writing = async {
        while let Some((when, bytes)) = kept.recv().await {
            sleep_until(when).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
