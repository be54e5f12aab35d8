//! The files of the page, compressed by the build script.

/// A file of the page.
pub struct Asset {
    /// The path of its URL.
    pub path: &'static str,
    pub content_type: &'static str,
    pub gzipped: &'static [u8],
}

// `ASSETS`, all files of the page, and `ETAG`, their common entity tag with its quotes, which
// changes with each of them.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process::Command;

    use super::*;

    #[test]
    fn assets_are_the_compressed_files() {
        let dir = std::env::temp_dir().join(format!("smolchat-assets-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        for asset in ASSETS {
            let name = if asset.path == "/" { "/index.html" } else { asset.path };
            let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/edge/web/page");
            let content = fs::read_to_string(format!("{page}{name}")).unwrap();
            let gzipped = dir.join("asset.gz");
            fs::write(&gzipped, asset.gzipped).unwrap();
            let input = File::open(&gzipped).unwrap();
            let output = Command::new("gzip").arg("-dc").stdin(input).output().unwrap();
            assert!(output.status.success(), "{}", asset.path);
            // Lines with only a comment are served without it.
            let served = String::from_utf8(output.stdout).unwrap();
            assert_eq!(served.lines().count(), content.lines().count(), "{}", asset.path);
            for (line, source) in served.lines().zip(content.lines()) {
                assert!(line == source || (line.is_empty() && source.trim().starts_with('/')));
            }
        }
        fs::remove_dir_all(&dir).unwrap();
        assert!(ASSETS.iter().any(|asset| asset.path == "/"));
    }

    #[test]
    fn page_is_less_than_12_kb() {
        let size: usize = ASSETS.iter().map(|asset| asset.gzipped.len()).sum();
        assert!(size < 12_000, "{size} bytes");
    }
}
