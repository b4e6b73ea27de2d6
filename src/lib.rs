pub mod broker;
pub mod browser;
pub mod deadline;
pub mod drain;
pub mod fetch {
    #[derive(Debug)]
    pub struct Request;
    #[derive(Debug)]
    pub struct Response;
    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error("x")]
        X,
    }
    #[derive(Debug)]
    pub struct Fetcher;
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Load {
        pub active: u64,
        pub waiting: u64,
        pub limit: u64,
        pub total: u64,
        pub failed: u64,
    }
    impl Fetcher {
        pub async fn fetch(
            &self,
            _: Request,
            _: crate::deadline::Deadline,
        ) -> Result<Response, Error> {
            Err(Error::X)
        }
        pub fn load(&self) -> Load {
            Default::default()
        }
    }
}
pub mod gateway;
pub mod health;
pub mod http_server;
pub mod lease;
pub mod metrics;
pub mod ops;
pub mod telemetry;
