//! The least that a gRPC service between a client and an origin can do.

use berth::proto::{
    FetchContents, FetchManyRequest, FetchManyResponse, FetchRequest, FetchResponse,
    fetch_service_client::FetchServiceClient,
    fetch_service_server::{FetchService, FetchServiceServer},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{self, Channel, Server},
};

pub struct Barest {
    pub client: FetchServiceClient<Channel>,
    stop: CancellationToken,
    served: JoinHandle<Result<(), transport::Error>>,
}

impl Barest {
    /// One that asks by `http`.
    #[allow(clippy::disallowed_methods, reason = "the bench's own task")]
    pub async fn start(http: reqwest::Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let server = Server::builder()
            .add_service(FetchServiceServer::new(PassingOn(http)))
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                stop.clone().cancelled_owned(),
            );
        Self {
            served: tokio::spawn(server),
            client: FetchServiceClient::connect(endpoint).await.unwrap(),
            stop,
        }
    }

    pub async fn stop(self) {
        drop(self.client);
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

/// Asks and passes the bytes on.
struct PassingOn(reqwest::Client);

#[tonic::async_trait]
impl FetchService for PassingOn {
    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let answer = self.0.get(request.into_inner().url).send().await.unwrap();
        let contents = FetchContents {
            raw: Some(answer.bytes().await.unwrap()),
            ..FetchContents::default()
        };
        Ok(Response::new(FetchResponse {
            contents: Some(contents),
            ..FetchResponse::default()
        }))
    }

    type FetchManyStream = tokio_stream::Empty<Result<FetchManyResponse, Status>>;

    async fn fetch_many(
        &self,
        _: Request<Streaming<FetchManyRequest>>,
    ) -> Result<Response<Self::FetchManyStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
