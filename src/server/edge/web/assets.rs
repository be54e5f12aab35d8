//! The files of the page, compressed by the build script.

/// A file of the page.
pub struct Asset {
    /// The path of its URL.
    pub path: &'static str,
    pub content_type: &'static str,
    /// The entity tag with its quotes. It changes with the content.
    pub etag: &'static str,
    pub gzipped: &'static [u8],
}

/// All files of the page.
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The bytes of all files.
pub const PAGE_BYTES: usize = {
    let mut bytes = 0;
    let mut assets = ASSETS;
    while let [asset, rest @ ..] = assets {
        bytes += asset.gzipped.len();
        assets = rest;
    }
    bytes
};
