//! The file of limits.

/// A line of the file.
#[derive(Debug)]
struct Limit {
    figure: String,
    /// The build to which the limit applies; empty for all builds.
    build: String,
    max: u64,
}

/// All limits of the file.
#[derive(Debug)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Parses the file.
    ///
    /// # Errors
    ///
    /// Returns the first line that is not a limit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let parse = |line| {
            parse_limit(line).ok_or_else(|| {
                format!("wrong limit {line:?}: expected a figure, an optional build, and a number")
            })
        };
        lines.map(parse).collect()
    }

    /// Returns a message if a figure of a build is over its limit or has no limit.
    pub fn complaint(&self, figure: &str, build: &str, value: u64) -> Option<String> {
        let of = |build: &str| {
            self.0.iter().find(|limit| limit.figure == figure && limit.build == build)
        };
        match of(build).or_else(|| of("")) {
            None => Some(format!("there is no limit for {figure}")),
            Some(limit) if value > limit.max => {
                Some(format!("{build}: {figure} is {value}, more than {}", limit.max))
            }
            Some(_) => None,
        }
    }
}

impl FromIterator<Limit> for Limits {
    fn from_iter<I: IntoIterator<Item = Limit>>(limits: I) -> Self {
        Limits(limits.into_iter().collect())
    }
}

fn parse_limit(line: &str) -> Option<Limit> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (figure, build, max) = match words[..] {
        [figure, max] => (figure, "", max),
        [figure, build, max] => (figure, build, max),
        _ => return None,
    };
    Some(Limit { figure: figure.into(), build: build.into(), max: max.parse().ok()? })
}
