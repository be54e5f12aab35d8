//! The handshake of WebSocket.
