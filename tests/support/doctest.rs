/// Runs an example of the documentation beside a broker and a page that are really there.
pub fn with_broker<F>(example: impl FnOnce(String, String) -> F)
where
    F: Future<Output = Result<(), berth::client::Error>>,
{
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\n\
        connection: close\r\n\r\n<p>A page";
    let run = tempfile::tempdir().unwrap();
    let anywhere = ([127, 0, 0, 1], 0).into();
    let config = berth::config::Config {
        listen: anywhere,
        gateway_listen: anywhere,
        ops_listen: anywhere,
        run_dir: run.path().join("run"),
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..berth::config::Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = berth::server::Server::start(&config).await.unwrap();
        let site = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", site.local_addr().unwrap());
        let serve = async {
            loop {
                let (mut stream, _) = site.accept().await.unwrap();
                let mut request = [0; 4096];
                // A client that left already is no matter.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(PAGE).await;
            }
        };
        let endpoint = format!("http://{}", server.addresses().grpc);
        let ran = tokio::select! {
            ran = example(endpoint, url) => ran,
            () = serve => unreachable!(),
        };
        server.shut_down().await;
        ran.unwrap();
    });
}
