pub mod broker;
pub mod browser;
pub mod deadline;
pub mod drain;
pub mod fetch;
pub mod health;
pub mod lease;
pub mod metrics;
