//! The head of an HTTP request.
