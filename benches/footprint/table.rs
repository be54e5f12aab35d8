//! Writes the tables of a Markdown page and reads them.

/// Lines before and after the tables.
const MARKS: (&str, &str) = ("<!-- footprint -->\n", "<!-- /footprint -->\n");

/// Sizes of the programs of a target, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub target: String,
    /// How it was built: `plain` or `zig`.
    pub way: String,
    /// Size of `smolchatd` without features.
    pub minimal: Option<u64>,
    /// Size of `smolchatd`.
    pub server: u64,
    /// Size of `smolchatd` with the feature `tls`, too.
    pub tls: Option<u64>,
    /// Size of `smolchat`.
    pub client: u64,
}

/// Names and figures of a running server, in the order of the table.
pub type Figures = Vec<(&'static str, u64)>;

/// Returns the part of a page between the marks.
pub fn part_of(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(MARKS.0)?;
    Some(rest.split_once(MARKS.1)?.0)
}

/// Returns a page with another part between the marks.
pub fn with_part(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some([before, MARKS.0, part, MARKS.1, after].concat())
}

/// Returns both tables. `runs` has the figures of each build that was run.
pub fn write(sizes: &[Sizes], runs: &[(String, Figures)], machine: &str) -> String {
    let mut text = String::from(
        "\n| target | minimal, bytes | `smolchatd`, bytes | `smolchatd` with `tls`, bytes | \
         `smolchat`, bytes |\n|---|--:|--:|--:|--:|\n",
    );
    for Sizes { target, minimal, server, tls, client, .. } in sizes {
        let cells = [*minimal, Some(*server), *tls, Some(*client)].map(|size| size.map(grouped));
        text += &format!("| {target} | {} |\n", cells.map(Option::unwrap_or_default).join(" | "));
    }
    text += "\n| the server at run time |";
    for (build, _) in runs {
        text += &format!(" {build} |");
    }
    text += &format!("\n|---|{}\n", "--:|".repeat(runs.len()));
    let names = runs.first().map(|(_, figures)| figures.iter().map(|(name, _)| *name));
    for (index, name) in names.into_iter().flatten().enumerate() {
        text += &format!("| {name} |");
        for (_, figures) in runs {
            text += &format!(" {} |", figures.get(index).map_or(String::new(), |f| grouped(f.1)));
        }
        text.push('\n');
    }
    text + &format!("\n{machine}\n\n")
}

/// Returns the figures in a part of a page: column, row and number.
pub fn read(part: &str) -> Vec<(String, String, u64)> {
    let mut figures = Vec::new();
    let mut head: Vec<&str> = Vec::new();
    for line in part.lines() {
        let Some(row) = line.strip_prefix('|') else {
            head.clear();
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        if head.is_empty() {
            head = cells;
            continue;
        }
        for (column, cell) in head.iter().zip(&cells).skip(1) {
            if let Ok(figure) = cell.replace(',', "").parse() {
                figures.push((
                    (*column).into(),
                    cells.first().copied().unwrap_or_default().into(),
                    figure,
                ));
            }
        }
    }
    figures
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
