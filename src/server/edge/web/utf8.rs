//! A check of UTF-8 in pieces.
