//! A client of a broker, for Rust programs: leases that give themselves back, and fetches.
//!
//! ```
//! # mod docs { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doctest.rs")); }
//! # docs::with_broker(async |endpoint: String, url: String| {
//! use berth::client::Client;
//!
//! // "http://127.0.0.1:50051" is where `berth serve` listens.
//! let client = Client::connect(&endpoint).await?;
//!
//! // A browser of one's own, until `lease` is dropped or released.
//! let lease = client.lease().label("job", "42").await?;
//! let browser = chromiumoxide::Browser::connect(lease.cdp_url()).await;
//! # assert!(browser.is_ok(), "{browser:?}");
//! // … and what one wants of a browser …
//! lease.release().await?;
//!
//! // A page, without a browser where none is needed.
//! let fetched = client.fetch(url.as_str()).await?;
//! assert_eq!(fetched.status, 200);
//! # client.close().await;
//! # Ok::<(), berth::client::Error>(())
//! # });
//! ```
//!
//! [`Client::lease`] holds its lease by a `Hold` stream: there is nothing to renew, and however this
//! process ends, the browser is back. Refusals that say when to come back, such as POOL_EXHAUSTED, are
//! obeyed within the wait. What the broker says no to is an [`Error`] with a code, a reason and, where
//! repeating helps, when to.
//!
//! Everything else of the API is there too: [`Client::leases`], [`Client::fetches`], [`Client::pages`] and
//! [`Client::admin`] are the generated clients, on the same connection, with the same credentials.

mod acquire;
mod connect;
mod error;
mod lease;

use std::time::Duration;

use tonic::{IntoRequest, Request, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    drain::Drain,
    proto::{
        FetchRequest, FetchResponse, admin_service_client::AdminServiceClient,
        fetch_service_client::FetchServiceClient, lease_service_client::LeaseServiceClient,
        page_service_client::PageServiceClient,
    },
};

pub use self::{
    acquire::Acquire,
    connect::{Bearer, Builder},
    error::Error,
    lease::{End, Lease},
};

/// The largest answer that is taken, in bytes: bodies, documents and pictures.
const LARGEST: usize = 300 << 20;
/// The longest that a fetch may take by default: longer than any server lets it.
const FETCH: Duration = Duration::from_secs(900);
/// How much later than the server this side's clock ends a call: the server is the one to say why.
const SLACK: Duration = Duration::from_secs(5);

/// A connection that shows who calls.
pub type Connection = InterceptedService<Channel, Bearer>;

/// A connection to a broker; clones share it. When it breaks it is made anew by the next call.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    tasks: Drain,
}

impl Client {
    /// Connects to a broker that asks nobody who they are, such as `http://127.0.0.1:50051`; with
    /// `https://` the certificate has to be of an authority that the system trusts. For credentials and
    /// authorities of one's own see [`Client::builder`].
    ///
    /// # Errors
    /// [`Error::Endpoint`] when that is no address, [`Error::Unreachable`] when nobody answers within 5 s.
    pub async fn connect(endpoint: &str) -> Result<Self, Error> {
        Self::builder(endpoint).connect().await
    }

    /// Connects with more than an address: a token, certificates.
    pub fn builder(endpoint: &str) -> Builder {
        Builder::new(endpoint)
    }

    pub(crate) const fn over(connection: Connection, tasks: Drain) -> Self {
        Self { connection, tasks }
    }

    /// Asks for a browser; awaited, it is there.
    ///
    /// ```
    /// # mod docs { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doctest.rs")); }
    /// # docs::with_broker(async |endpoint: String, _url: String| {
    /// use std::time::Duration;
    /// use berth::{client::Client, proto::ErrorReason};
    ///
    /// let client = Client::connect(&endpoint).await?;
    /// let asked = client
    ///     .lease()
    ///     .wait(Duration::from_secs(30))
    ///     .max_lifetime(Duration::from_secs(600))
    ///     .on_queued(|position| eprintln!("{position} in the queue"));
    /// match asked.await {
    ///     Ok(lease) => println!("{}", lease.id()), // given back when `lease` goes
    ///     Err(error) if error.reason() == Some(ErrorReason::PoolExhausted) => {
    ///         eprintln!("every browser is taken: {error}");
    ///     }
    ///     Err(error) => return Err(error),
    /// }
    /// # client.close().await;
    /// # Ok::<(), berth::client::Error>(())
    /// # });
    /// ```
    pub fn lease(&self) -> Acquire {
        Acquire::new(self.leases(), self.tasks.clone())
    }

    /// Fetches a page: a URL, or a whole [`FetchRequest`].
    ///
    /// ```
    /// # mod docs { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doctest.rs")); }
    /// # docs::with_broker(async |endpoint: String, url: String| {
    /// use berth::{client::Client, proto::{FetchFormat, FetchRequest}};
    ///
    /// let client = Client::connect(&endpoint).await?;
    /// let fetched = client
    ///     .fetch(FetchRequest {
    ///         url,
    ///         formats: vec![FetchFormat::Markdown.into()],
    ///         ..FetchRequest::default()
    ///     })
    ///     .await?;
    /// let markdown = fetched.contents.unwrap_or_default().markdown;
    /// println!("{}", markdown.unwrap_or_default());
    /// # client.close().await;
    /// # Ok::<(), berth::client::Error>(())
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`Error::Refused`] with what the broker says.
    ///
    /// # Cancel safety
    /// Dropped, the fetch is over at the broker, too.
    pub async fn fetch(
        &self,
        request: impl Into<FetchRequest> + Send,
    ) -> Result<FetchResponse, Error> {
        let message = request.into();
        let timeout = message.timeout.and_then(|timeout| timeout.try_into().ok());
        let request = within(message, timeout.unwrap_or(FETCH).saturating_add(SLACK));
        Ok(self.fetches().fetch(request).await?.into_inner())
    }

    /// The generated client of `LeaseService`.
    #[must_use]
    pub fn leases(&self) -> LeaseServiceClient<Connection> {
        LeaseServiceClient::new(self.connection.clone())
    }

    /// The generated client of `FetchService`, for answers of up to 300 MiB.
    #[must_use]
    pub fn fetches(&self) -> FetchServiceClient<Connection> {
        FetchServiceClient::new(self.connection.clone()).max_decoding_message_size(LARGEST)
    }

    /// The generated client of `PageService`, for answers of up to 300 MiB.
    #[must_use]
    pub fn pages(&self) -> PageServiceClient<Connection> {
        PageServiceClient::new(self.connection.clone()).max_decoding_message_size(LARGEST)
    }

    /// The generated client of `AdminService`.
    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Connection> {
        AdminServiceClient::new(self.connection.clone()).max_decoding_message_size(LARGEST)
    }

    /// The connection, for clients of services that are not Berth's, such as health.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Gives every lease of this client and its clones back, and waits until the broker has said so, for
    /// each at most 5 s. Nothing is leased by a clone afterwards. For the end of a program: what it does not
    /// wait for is ended by the broker, as that of a client that vanished.
    pub async fn close(self) {
        self.tasks.cut();
        self.tasks.closed().await;
    }
}

/// A call that has to be answered within a time, which is the deadline that the server is told.
pub fn within<T>(message: impl IntoRequest<T>, time: Duration) -> Request<T> {
    let mut request = message.into_request();
    request.set_timeout(time);
    request
}
