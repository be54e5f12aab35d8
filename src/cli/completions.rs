//! What a shell offers where an option or its value is being typed.

use std::str::FromStr;

use super::{OptionSpec, Program, Value};

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
            Shell::Bash => self.bash(),
            Shell::Zsh => self.zsh(),
            Shell::Fish => self.fish(),
        }
    }

    fn options(&self) -> impl Iterator<Item = &'static OptionSpec> {
        self.options.iter().filter(|option| !option.is_argument())
    }

    fn bash(&self) -> String {
        let name = self.name;
        let mut cases = String::new();
        for option in self.options() {
            let offer = match option.value {
                Value::Switch | Value::Argument(_) => continue,
                Value::Text(_) => String::new(),
                Value::Choice(_, words) => offer(&format!("-W '{}'", words.join(" "))),
                Value::Path(_) => offer("-f"),
                Value::Command(_) => offer("-c"),
            };
            cases += &format!("        {}) COMPREPLY=({offer}) ;;\n", option.flag());
        }
        let flags = self.options().map(OptionSpec::flag).collect::<Vec<_>>().join(" ");
        cases += "        *) case $word in\n";
        cases += &format!("            -*) COMPREPLY=({}) ;;\n", offer(&format!("-W '{flags}'")));
        cases += &format!("            *) COMPREPLY=({}) ;;\n", offer("-A hostname"));
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

    fn zsh(&self) -> String {
        let name = self.name;
        let mut specs = String::new();
        for option in self.options {
            let told = if option.help.is_empty() { option.more } else { option.help };
            let told = zsh_text(told);
            let action = match option.value {
                Value::Switch => String::new(),
                Value::Argument(place) => format!("::{}:_hosts", zsh_text(place)),
                Value::Text(value) => format!(":{}: ", zsh_text(value)),
                Value::Choice(value, words) => {
                    format!(":{}:({})", zsh_text(value), words.join(" "))
                }
                Value::Path(value) => format!(":{}:_files", zsh_text(value)),
                Value::Command(value) => format!(":{}:_cmdstring", zsh_text(value)),
            };
            let spec = match option.value {
                Value::Argument(_) => format!("1{}", action),
                Value::Switch => format!("{}[{told}]", option.flag()),
                _ => format!("*{}=[{told}]{action}", option.flag()),
            };
            specs += &format!(" \\\n    '{spec}'");
        }
        format!(
            "#compdef {name}\n\
             # What zsh offers behind `{name}`. Made by `{name} --completions zsh`.\n\
             _arguments -S{specs}\n"
        )
    }

    fn fish(&self) -> String {
        let name = self.name;
        let mut script = format!(
            "# What fish offers behind `{name}`. Made by `{name} --completions fish`.\n\
             complete -c {name} -f -a '(__fish_print_hostnames)'\n"
        );
        for option in self.options() {
            let told = if option.help.is_empty() { option.more } else { option.help };
            let told = told.replace('\\', "\\\\").replace('\'', "\\'");
            let value = match option.value {
                Value::Switch | Value::Argument(_) => String::new(),
                Value::Text(_) => " -x".into(),
                Value::Choice(_, words) => format!(" -x -a '{}'", words.join(" ")),
                Value::Path(_) => " -r -F".into(),
                Value::Command(_) => " -x -a '(__fish_complete_command)'".into(),
            };
            script += &format!("complete -c {name} -l {}{value} -d '{told}'\n", option.name);
        }
        script
    }
}

/// What `compgen` finds that begins like the word that is being typed.
fn offer(of: &str) -> String {
    format!("$(compgen {of} -- \"$word\")")
}

/// A text inside of a specification for `_arguments`, in single quotes.
fn zsh_text(text: &str) -> String {
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
