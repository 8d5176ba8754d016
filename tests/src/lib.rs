//! What the end-to-end tests share: a running server, a plain HTTP client.
