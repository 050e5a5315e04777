//! The scenario with the SDK of version 2.

#[path = "../rust/configuration.rs"]
mod configuration;
#[path = "../rust/customer.rs"]
mod customer;
mod names;
#[path = "../rust/receiver.rs"]
mod receiver;
#[path = "../rust/scenario.rs"]
mod scenario;
#[path = "../rust/traffic.rs"]
mod traffic;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario::play().await;
}
