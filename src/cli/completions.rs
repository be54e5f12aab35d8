//! What a shell offers where an option or its value is being typed.

use std::str::FromStr;

use super::{OptionSpec, Program, ValueKind};

/// A shell that completes what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// For a file in `bash-completion/completions`.
    Bash,
    /// For a file in `zsh/site-functions`.
    Zsh,
    /// For a file in `fish/vendor_completions.d`.
    Fish,
}

impl Shell {
    /// What they are called.
    pub const NAMES: &[&str] = &["bash", "zsh", "fish"];
}

impl FromStr for Shell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err("wants bash, zsh or fish"),
        }
    }
}

impl Program {
    /// The completions of this program, as a script for that shell.
    pub fn completions(&self, shell: Shell) -> String {
        match shell {
            Shell::Bash => self.bash_completions(),
            Shell::Zsh => self.zsh_completions(),
            Shell::Fish => self.fish_completions(),
        }
    }

    fn options(&self) -> impl Iterator<Item = &'static OptionSpec> {
        self.options.iter().filter(|option| !option.is_positional())
    }

    fn bash_completions(&self) -> String {
        let name = self.name;
        let mut cases = String::new();
        for option in self.options() {
            let offer = match option.value {
                ValueKind::Switch | ValueKind::Positional(_) => continue,
                ValueKind::Text(_) => String::new(),
                ValueKind::Choice(_, words) => compgen(&format!("-W '{}'", words.join(" "))),
                ValueKind::Path(_) => compgen("-f"),
                ValueKind::Command(_) => compgen("-c"),
            };
            cases += &format!("        {}) COMPREPLY=({offer}) ;;\n", option.flag());
        }
        let flags = self.options().map(OptionSpec::flag).collect::<Vec<_>>().join(" ");
        cases += "        *) case $word in\n";
        cases += &format!("            -*) COMPREPLY=({}) ;;\n", compgen(&format!("-W '{flags}'")));
        cases += &format!("            *) COMPREPLY=({}) ;;\n", compgen("-A hostname"));
        format!(
            "# What bash offers behind `{name}`. Made by `{name} --completions bash`.\n\
             _{name}() {{\n    \
                 local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n    \
                 # bash cuts --flag=value into three words.\n    \
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
            let description = if option.help.is_empty() { option.details } else { option.help };
            let description = quote_zsh(description);
            let action = match option.value {
                ValueKind::Switch => String::new(),
                ValueKind::Positional(place) => format!("::{}:_hosts", quote_zsh(place)),
                ValueKind::Text(value) => format!(":{}: ", quote_zsh(value)),
                ValueKind::Choice(value, words) => {
                    format!(":{}:({})", quote_zsh(value), words.join(" "))
                }
                ValueKind::Path(value) => format!(":{}:_files", quote_zsh(value)),
                ValueKind::Command(value) => format!(":{}:_cmdstring", quote_zsh(value)),
            };
            let spec = match option.value {
                ValueKind::Positional(_) => format!("1{}", action),
                ValueKind::Switch => format!("{}[{description}]", option.flag()),
                _ => format!("*{}=[{description}]{action}", option.flag()),
            };
            specs += &format!(" \\\n    '{spec}'");
        }
        format!(
            "#compdef {name}\n\
             # What zsh offers behind `{name}`. Made by `{name} --completions zsh`.\n\
             _arguments -S{specs}\n"
        )
    }

    fn fish_completions(&self) -> String {
        let name = self.name;
        let mut script = format!(
            "# What fish offers behind `{name}`. Made by `{name} --completions fish`.\n\
             complete -c {name} -f -a '(__fish_print_hostnames)'\n"
        );
        for option in self.options() {
            let description = if option.help.is_empty() { option.details } else { option.help };
            let description = description.replace('\\', "\\\\").replace('\'', "\\'");
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

/// What `compgen` finds that begins like the word that is being typed.
fn compgen(of: &str) -> String {
    format!("$(compgen {of} -- \"$word\")")
}

/// A text inside of a specification for `_arguments`, in single quotes.
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
