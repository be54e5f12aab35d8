//! Compresses the files of the page for the feature `web`.
//!
//! Writes `assets.rs` into `OUT_DIR`: an array of `Asset`, with a row for each file of `page/` that
//! has a content type, and the entity tag of these files. Other files, such as `tsconfig.json`, are
//! not served.

fn main() -> std::io::Result<()> {
    // Without it, Cargo runs the script again after a change of any file of the package.
    println!("cargo::rerun-if-changed=src/server/edge/web/build.rs");
    #[cfg(feature = "web")]
    page::build()?;
    Ok(())
}

#[cfg(feature = "web")]
mod page {
    use std::path::Path;
    use std::{env, fs, io};

    use miniz_oxide::deflate::compress_to_vec;

    const PAGE: &str = "src/server/edge/web/page";
    /// Content types by the extension of a file.
    const TYPES: &[(&str, &str)] = &[
        ("html", "text/html; charset=utf-8"),
        ("css", "text/css"),
        ("js", "text/javascript"),
        ("svg", "image/svg+xml"),
    ];

    pub fn build() -> io::Result<()> {
        println!("cargo::rerun-if-changed={PAGE}");
        let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(PAGE)? {
            paths.push(entry?.path());
        }
        // A build from the same files gives the same bytes.
        paths.sort();
        let mut rows = String::from("pub const ASSETS: &[Asset] = &[\n");
        let mut contents = Vec::new();
        for path in paths {
            let extension = path.extension().unwrap_or_default();
            let Some((_, content_type)) = TYPES.iter().find(|(of, _)| extension == *of) else {
                continue;
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let content = without_comments(&fs::read_to_string(&path)?).into_bytes();
            fs::write(Path::new(&out).join(&*name), gzip(&content))?;
            let url = if name == "index.html" { "/".into() } else { format!("/{name}") };
            contents.extend_from_slice(&content);
            rows += &format!(
                "Asset {{ path: {url:?}, content_type: {content_type:?}, \
                 gzipped: include_bytes!(concat!(env!(\"OUT_DIR\"), {:?})) }},\n",
                format!("/{name}"),
            );
        }
        // Weak, because a proxy may compress the files anew.
        let etag = format!("W/\"{:08x}\"", crc32(&contents));
        rows += &format!("];\npub const ETAG: &str = {etag:?};\n");
        fs::write(Path::new(&out).join("assets.rs"), rows)
    }

    /// Empties the lines that have only a comment. The numbers of the other lines stay the same.
    fn without_comments(content: &str) -> String {
        let is_comment = |line: &str| {
            let line = line.trim();
            line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"))
        };
        content
            .split_inclusive('\n')
            .map(|line| if is_comment(line) { "\n" } else { line })
            .collect()
    }

    /// Compresses a file in the format of gzip (RFC 1952), without a name or a time.
    fn gzip(content: &[u8]) -> Vec<u8> {
        // The magic number, deflate, no flags, no time, best compression, an unknown system.
        let head = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255];
        let length = content.len() as u32;
        let end = [crc32(content).to_le_bytes(), length.to_le_bytes()].concat();
        [&head[..], &compress_to_vec(content, 10), &end].concat()
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let bit = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
    }
}
