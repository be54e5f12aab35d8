//! The file of limits, and what is over them.

/// One line of the file.
#[derive(Debug)]
struct Limit {
    figure: String,
    /// The build that it holds for; all where this is empty.
    build: String,
    most: u64,
}

/// The file of limits.
#[derive(Debug)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        lines.map(|line| limit(line).ok_or_else(|| format!("no limit: {line}"))).collect()
    }

    /// What is wrong with a figure of a build, if anything is: it is over its limit, or has none.
    pub fn complaint(&self, figure: &str, build: &str, value: u64) -> Option<String> {
        let of = |build: &str| {
            self.0.iter().find(|limit| limit.figure == figure && limit.build == build)
        };
        match of(build).or_else(|| of("")) {
            None => Some(format!("there is no limit for {figure}")),
            Some(limit) if value > limit.most => {
                Some(format!("{build}: {figure} is {value}, more than {}", limit.most))
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

fn limit(line: &str) -> Option<Limit> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (figure, build, most) = match words[..] {
        [figure, most] => (figure, "", most),
        [figure, build, most] => (figure, build, most),
        _ => return None,
    };
    Some(Limit { figure: figure.into(), build: build.into(), most: most.parse().ok()? })
}
