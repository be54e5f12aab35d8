//! Completion scripts for bash, zsh and fish.

use std::str::FromStr;

use super::{OptionSpec, Program, ValueKind};

/// A shell that a completion script can be generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// The names of all shells, as accepted by [`FromStr`].
    pub const NAMES: &[&str] = &["bash", "zsh", "fish"];
}

impl FromStr for Shell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err("expected bash, zsh or fish"),
        }
    }
}

impl Program {
    /// Returns the completion script of this program for `shell`.
    ///
    /// Each script belongs into a file of its own, in `bash-completion/completions`,
    /// `zsh/site-functions` or `fish/vendor_completions.d`.
    pub fn completions(&self, shell: Shell) -> String {
        match shell {
            Shell::Bash => self.bash_completions(),
            Shell::Zsh => self.zsh_completions(),
            Shell::Fish => self.fish_completions(),
        }
    }

    /// Iterates over the options, without the positional arguments.
    fn flags(&self) -> impl Iterator<Item = &'static OptionSpec> {
        self.options.iter().filter(|option| !option.is_positional())
    }

    fn bash_completions(&self) -> String {
        let name = self.name;
        let mut cases = String::new();
        for option in self.flags() {
            let words = match option.value {
                ValueKind::Switch | ValueKind::Positional(_) => continue,
                ValueKind::Text(_) => String::new(),
                ValueKind::Choice(_, words) => compgen(&format!("-W '{}'", words.join(" "))),
                ValueKind::Path(_) => compgen("-f"),
                ValueKind::Command(_) => compgen("-c"),
            };
            cases += &format!("        {}) COMPREPLY=({words}) ;;\n", option.flag());
        }
        let flags = self.flags().map(OptionSpec::flag).collect::<Vec<_>>().join(" ");
        cases += "        *) case $word in\n";
        cases += &format!("            -*) COMPREPLY=({}) ;;\n", compgen(&format!("-W '{flags}'")));
        cases += &format!("            *) COMPREPLY=({}) ;;\n", compgen("-A hostname"));
        format!(
            "# Completions of {name} for bash, printed by `{name} --completions bash`.\n\
             _{name}() {{\n    \
                 local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n    \
                 # bash splits --flag=value into three words.\n    \
                 if [[ $word == = ]]; then\n        \
                     word=\n    \
                 elif [[ $before == = ]]; then\n        \
                     before=${{COMP_WORDS[COMP_CWORD-2]}}\n    \
                 fi\n    \
                 case $before in\n{cases}        esac ;;\n    \
                 esac\n\
             }}\n\
             complete -F _{name} {name}\n"
        )
    }

    fn zsh_completions(&self) -> String {
        let name = self.name;
        let mut specs = String::new();
        for option in self.options {
            let description = quote_zsh(description(option));
            let action = match option.value {
                ValueKind::Switch => String::new(),
                ValueKind::Positional(value) => format!("::{}:_hosts", quote_zsh(value)),
                ValueKind::Text(value) => format!(":{}: ", quote_zsh(value)),
                ValueKind::Choice(value, words) => {
                    format!(":{}:({})", quote_zsh(value), words.join(" "))
                }
                ValueKind::Path(value) => format!(":{}:_files", quote_zsh(value)),
                ValueKind::Command(value) => format!(":{}:_cmdstring", quote_zsh(value)),
            };
            let spec = match option.value {
                ValueKind::Positional(_) => format!("1{action}"),
                ValueKind::Switch => format!("{}[{description}]", option.flag()),
                _ => format!("*{}=[{description}]{action}", option.flag()),
            };
            specs += &format!(" \\\n    '{spec}'");
        }
        format!(
            "#compdef {name}\n\
             # Completions of {name} for zsh, printed by `{name} --completions zsh`.\n\
             _arguments -S{specs}\n"
        )
    }

    fn fish_completions(&self) -> String {
        let name = self.name;
        let mut script = format!(
            "# Completions of {name} for fish, printed by `{name} --completions fish`.\n\
             complete -c {name} -f -a '(__fish_print_hostnames)'\n"
        );
        for option in self.flags() {
            let description = description(option).replace('\\', "\\\\").replace('\'', "\\'");
            let value = match option.value {
                ValueKind::Switch | ValueKind::Positional(_) => String::new(),
                ValueKind::Text(_) => " -x".into(),
                ValueKind::Choice(_, words) => format!(" -x -a '{}'", words.join(" ")),
                ValueKind::Path(_) => " -r -F".into(),
                ValueKind::Command(_) => " -x -a '(__fish_complete_command)'".into(),
            };
            script += &format!("complete -c {name} -l {}{value} -d '{description}'\n", option.name);
        }
        script
    }
}

/// Returns the text of an option next to it in a list of completions.
fn description(option: &OptionSpec) -> &'static str {
    if option.help.is_empty() { option.details } else { option.help }
}

/// Returns a shell expression for the words of `source` that begin like the current word.
fn compgen(source: &str) -> String {
    format!("$(compgen {source} -- \"$word\")")
}

/// Escapes a text for a specification of `_arguments` in single quotes.
fn quote_zsh(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '\'' => quoted += r"'\''",
            '[' | ']' | ':' | '\\' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted
}
