//! Streams: events at socket routes, and responses that Django hands over.

mod handed_over;
mod socket_routes;
