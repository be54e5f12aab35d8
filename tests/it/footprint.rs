//! The limits and tables of `make footprint`.

#![allow(dead_code, reason = "the bench uses the rest of these modules")]

#[path = "../../benches/footprint/limits.rs"]
mod limits;
#[path = "../../benches/footprint/table.rs"]
mod table;

use limits::Limits;
use table::Sizes;

#[test]
fn figure_over_or_without_limit_is_reported() {
    let text = "# why\nbytes  320\nbytes mipsel 550\n\n threads 2";
    let limits = Limits::parse(text).unwrap();
    let complaint = |figure, build, value| limits.complaint(figure, build, value);
    assert_eq!(complaint("bytes", "arm", 320), None);
    assert_eq!(complaint("bytes", "arm", 321).unwrap(), "arm: bytes is 321, more than 320");
    assert_eq!(complaint("bytes", "mipsel", 550), None);
    assert!(complaint("bytes", "mipsel", 551).is_some());
    assert!(complaint("wake-ups", "arm", 0).unwrap().contains("no limit"));
    for text in ["bytes", "bytes arm many", "bytes arm 5 KB"] {
        assert!(Limits::parse(text).unwrap_err().contains(text), "{text}");
    }
    assert!(Limits::parse(include_str!("../../benches/footprint/limits")).is_ok());
}

#[test]
fn written_tables_are_read_back() {
    let arm = Sizes {
        target: "arm".into(),
        way: "zig".into(),
        minimal: None,
        server: 319_376,
        tls: Some(800_000),
        client: 1_000_000,
    };
    let runs = [("static", 484), ("glibc", 2572)].map(|(build, idle)| {
        (build.to_owned(), vec![("KiB without members", idle), ("threads", 2)])
    });
    let part = table::write(&[arm], &runs, "(machine)");
    let page = "above\n<!-- footprint -->\nold\n<!-- /footprint -->\nbelow\n";
    let page = table::with_part(page, &part).unwrap();
    assert!(page.starts_with("above\n") && page.ends_with("below\n") && !page.contains("old"));
    assert_eq!(table::part_of(&page), Some(&*part));
    let figure = |column: &str, row: &str, figure| (column.to_owned(), row.to_owned(), figure);
    assert_eq!(
        table::read(&part),
        [
            figure("`smolchatd`, bytes", "arm", 319_376),
            figure("`smolchatd` with `tls`, bytes", "arm", 800_000),
            figure("`smolchat`, bytes", "arm", 1_000_000),
            figure("static", "KiB without members", 484),
            figure("glibc", "KiB without members", 2572),
            figure("static", "threads", 2),
            figure("glibc", "threads", 2),
        ]
    );
    assert_eq!(table::with_part("no marks", &part), None);
}
