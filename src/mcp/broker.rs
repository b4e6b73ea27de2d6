//! The broker, as the shim sees it.

use std::time::Duration;

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::proto::{
    fetch_service_client::FetchServiceClient, lease_service_client::LeaseServiceClient,
    page_service_client::PageServiceClient,
};

/// The largest answer that is taken, in bytes: pictures and documents.
const LARGEST: usize = 64 << 20;

/// A connection to a broker; clones share it. It is made anew when it breaks.
#[derive(Clone, Debug)]
pub struct Broker {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Broker {
    /// A broker behind `channel`, which is shown `authorization` when it wants to know who calls.
    #[must_use]
    pub const fn new(channel: Channel, authorization: Option<MetadataValue<Ascii>>) -> Self {
        Self {
            channel,
            authorization,
        }
    }

    /// A call that must be answered within a time.
    pub(super) fn request<T>(&self, message: T, within: Duration) -> Request<T> {
        let mut request = self.open_request(message);
        request.set_timeout(within);
        request
    }

    /// A stream that lives as long as it is wanted.
    pub(super) fn open_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        request
    }

    pub(super) fn leases(&self) -> LeaseServiceClient<Channel> {
        LeaseServiceClient::new(self.channel.clone())
    }

    pub(super) fn pages(&self) -> PageServiceClient<Channel> {
        let pages = PageServiceClient::new(self.channel.clone());
        pages.max_decoding_message_size(LARGEST)
    }

    pub(super) fn fetches(&self) -> FetchServiceClient<Channel> {
        let fetches = FetchServiceClient::new(self.channel.clone());
        fetches.max_decoding_message_size(LARGEST)
    }
}
