//! The files in `deploy/` for service managers, with shims of the functions of the distributions, and
//! `make install`.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use smolchat::cli::{OptionSpec, SMOLCHATD, ValueKind as OptionValue};

use crate::common::{TempDir, TestServer};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

#[track_caller]
fn stdout(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn read_source(path: &str) -> String {
    fs::read_to_string(Path::new(SOURCE).join(path)).unwrap()
}

/// Installs the programs under test with `make`.
#[track_caller]
fn make_install(destdir: &Path, prefix: &Path) {
    let client = Path::new(env!("CARGO_BIN_EXE_smolchat"));
    let mut make = Command::new("make");
    make.args(["--silent", "install-files"]).current_dir(SOURCE).env_remove("MAKEFLAGS");
    make.arg(format!("DESTDIR={}", destdir.display()));
    make.arg(format!("PREFIX={}", prefix.display()));
    make.arg(format!("BIN={}", client.parent().unwrap().display()));
    make.arg(format!("CLIENT={}", client.display()));
    stdout(make.output().unwrap());
}

#[test]
fn installed_unit_starts_the_installed_program() {
    let dir = TempDir::new();
    let prefix = dir.path("opt");
    make_install(Path::new(""), &prefix);
    let units = prefix.join("lib/systemd/system");
    let unit = fs::read_to_string(units.join("smolchatd.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let program = start.split(' ').next().unwrap();
    assert_eq!(Path::new(program), prefix.join("bin/smolchatd"));
    assert!(!unit.contains("/usr/bin"), "{unit}");
    stdout(Command::new(program).arg("--version").output().unwrap());

    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["verify", "--man=no"]).args(["smolchatd.service", "smolchatd.socket"]);
    match analyze.current_dir(&units).output() {
        Err(error) => eprintln!("skipped: systemd-analyze: {error}"),
        Ok(output) => {
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && complaints.is_empty(), "{complaints}");
        }
    }
}

#[test]
fn install_writes_all_files_below_destdir() {
    let dir = TempDir::new();
    make_install(&dir.path(""), Path::new("/usr"));
    for (path, mode) in [
        ("bin/smolchat", 0o755),
        ("bin/smolchatd", 0o755),
        ("lib/systemd/system/smolchatd.service", 0o644),
        ("lib/systemd/system/smolchatd.socket", 0o644),
        ("share/man/man1/smolchat.1", 0o644),
        ("share/man/man1/smolchatd.1", 0o644),
        ("share/bash-completion/completions/smolchat", 0o644),
        ("share/zsh/site-functions/_smolchat", 0o644),
        ("share/fish/vendor_completions.d/smolchat.fish", 0o644),
    ] {
        let file = fs::metadata(dir.path("usr").join(path)).expect(path);
        assert!(file.len() > 0, "{path}");
        assert_eq!(file.permissions().mode() & 0o7777, mode, "{path}");
    }
    let unit = fs::read_to_string(dir.path("usr/lib/systemd/system/smolchatd.service")).unwrap();
    assert_eq!(unit, read_source("deploy/smolchatd.service"));
}

/// Returns the value of a setting of a unit.
#[track_caller]
fn setting(unit: &str, name: &str) -> u32 {
    let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.expect(name).parse().expect(name)
}

#[test]
fn unit_survives_crash_loops_but_not_usage_errors() {
    let unit = read_source("deploy/smolchatd.service");
    assert!(unit.contains("\nRestart=on-failure\n"));
    let (interval, burst) =
        (setting(&unit, "StartLimitIntervalSec"), setting(&unit, "StartLimitBurst"));
    // One start at the beginning of the interval, and one each time the delay has passed.
    let starts = 1 + interval / setting(&unit, "RestartSec");
    assert!(starts < burst, "{starts} starts in {interval} s, at most {burst}");
    let usage_error =
        Command::new(env!("CARGO_BIN_EXE_smolchatd")).arg("--nonsense").output().unwrap();
    let prevented = setting(&unit, "RestartPreventExitStatus");
    assert_eq!(usage_error.status.code(), i32::try_from(prevented).ok());
}

#[test]
fn shell_scripts_have_no_syntax_errors() {
    let mut scripts = vec!["deploy/openwrt/smolchatd.init", "deploy/openrc/smolchatd.initd"];
    scripts.extend(["deploy/dist.sh", "deploy/package.sh"]);
    scripts.extend(["deploy/debian/postinst", "deploy/debian/prerm", "deploy/debian/postrm"]);
    scripts.extend(["tests/audit.sh", "tests/cross.sh", "tests/packages.sh", "tests/debian.sh"]);
    scripts.extend(["tests/cluster.sh", "tests/irc.sh", "tests/web.sh", "deploy/cluster/run.sh"]);
    for script in &scripts {
        stdout(Command::new("sh").args(["-n", script]).current_dir(SOURCE).output().unwrap());
    }
    match Command::new("shellcheck")
        .arg("--external-sources")
        .args(&scripts)
        .current_dir(SOURCE)
        .output()
    {
        Err(error) => eprintln!("skipped: shellcheck: {error}"),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn dist_builds_with_tls_too_unless_features_are_given() {
    let commands = |features: &[&str]| {
        let mut make = Command::new("make");
        make.args(["--dry-run", "dist", "TARGET=x86_64"]).args(features).current_dir(SOURCE);
        stdout(make.env_remove("MAKEFLAGS").env_remove("FEATURES").output().unwrap())
    };
    let usual = commands(&[]);
    assert_eq!(usual.matches("dist.sh build 'x86_64'").count(), 2, "{usual}");
    assert!(usual.contains("FEATURES='editor irc web tls' FLAVOUR=tls"), "{usual}");
    let given = commands(&["FEATURES=web"]);
    assert_eq!(given.matches("dist.sh build 'x86_64'").count(), 1, "{given}");
    assert!(given.contains("FEATURES='web'"), "{given}");
}

/// Defines the functions of OpenWrt that an init script uses: a UCI file is run as commands, and
/// the parameters for procd and the lines for the log are printed.
const OPENWRT: &str = r#"
    config() { SECTION=$2; SECTIONS="$SECTIONS $2"; }
    option() {
        eval "CONFIG_${SECTION}_$1=\$2"
        option_cb "$@"
    }
    list() {
        eval "CONFIG_${SECTION}_$1=\"\${CONFIG_${SECTION}_$1:+\$CONFIG_${SECTION}_$1 }\$2\""
        list_cb "$@"
    }
    SECTIONS=
    config_load() { [ -r "./$1.config" ] && . "./$1.config"; }
    config_foreach() { for section in $SECTIONS; do "$1" "$section"; done; }
    config_get() { eval "$1=\${CONFIG_$2_$3-}"; }
    config_get_bool() { config_get "$@"; }
    procd_open_instance() { echo "open $1"; }
    procd_close_instance() { echo close; }
    procd_add_reload_trigger() { :; }
    procd_set_param() { echo "$@"; }
    procd_append_param() { echo "$@"; }
    logger() { echo "logger $*"; }
    . ./smolchatd.init
    start_service
"#;

/// Starts the service of OpenWrt with a configuration, and returns the parameters for procd.
#[track_caller]
fn procd_parameters(config: Option<&str>) -> Vec<String> {
    let dir = TempDir::new();
    fs::write(dir.path("smolchatd.init"), read_source("deploy/openwrt/smolchatd.init")).unwrap();
    if let Some(config) = config {
        fs::write(dir.path("smolchatd.config"), config).unwrap();
    }
    let mut shell = Command::new("sh");
    let output = shell.args(["-uc", OPENWRT]).current_dir(dir.path("")).output().unwrap();
    stdout(output).lines().map(str::to_owned).collect()
}

/// Returns a configuration of OpenWrt with one enabled server.
fn enabled(settings: &str) -> String {
    format!("config smolchatd 'main'\n\toption enabled '1'\n{settings}\n")
}

/// Returns the addresses that a server is told to listen on.
fn addresses(parameters: &[String]) -> Vec<&str> {
    parameters.iter().filter_map(|line| line.strip_prefix("command --listen ")).collect()
}

#[test]
fn procd_script_passes_each_setting() {
    let default = read_source("deploy/openwrt/smolchatd.config");
    assert_eq!(procd_parameters(Some(&default)), [] as [String; 0]);
    let has_value = |option: &&OptionSpec| {
        !matches!(option.value, OptionValue::Switch | OptionValue::Positional(_))
    };
    let lists = ["listen", "proxy-from", "web-host", "irc"];
    let options = || SMOLCHATD.options.iter().filter(|option| !lists.contains(&option.name));
    let key = |name: &str| name.replace('-', "_");
    let script = read_source("deploy/openwrt/smolchatd.init");
    let words = script.split("WORDS=\"").nth(1).unwrap().split('"').next().unwrap();
    let words: HashSet<&str> = words.split_whitespace().collect();
    for option in options().filter(has_value) {
        assert!(words.contains(&*key(option.name)), "{} is not passed on", option.name);
    }

    // Sets each option that has a default to this default.
    let is_text = |option: &&OptionSpec| {
        matches!(option.value, OptionValue::Text(_) | OptionValue::Choice(..))
    };
    let with_default = options().filter(is_text).filter(|option| !option.default.is_empty());
    let expected: Vec<(&str, &str)> =
        with_default.map(|option| (option.name, option.default)).collect();
    let setting = |(name, value): &(&str, &str)| format!("option {} '{value}'\n", key(name));
    let settings = expected.iter().map(setting).collect::<String>();
    let default = default.replace("option enabled '0'", "option enabled '1'");
    let settings = settings + "list listen '127.0.0.1:0'\nlist proxy_from '192.0.2.0/24'\n";
    let has_irc = SMOLCHATD.options.iter().any(|option| option.name == "irc");
    let settings = settings + if has_irc { "list irc '127.0.0.1:0'\n" } else { "" };
    let config = default + &settings;
    let parameters = procd_parameters(Some(&config));
    assert_eq!(parameters[..2], ["open main", "command /usr/bin/smolchatd"]);
    let arguments = parameters.iter().filter_map(|line| line.strip_prefix("command --"));
    let arguments: Vec<(&str, &str)> =
        arguments.map(|line| line.split_once(' ').unwrap()).collect();
    let mut expected_lists = vec![("listen", "0.0.0.0:8080"), ("listen", "127.0.0.1:0")];
    expected_lists.push(("proxy-from", "192.0.2.0/24"));
    expected_lists.extend(has_irc.then_some(("irc", "127.0.0.1:0")));
    let (listed, others) = arguments.split_at(expected_lists.len());
    assert_eq!(listed, expected_lists);
    let passed: HashSet<_> = others.iter().collect();
    assert_eq!(passed, expected.iter().collect::<HashSet<_>>());
    for line in ["user nobody", "no_new_privs 1", "stderr 1", "respawn 3600 5 0", "close"] {
        assert!(parameters.iter().any(|parameter| parameter == line), "{line}: {parameters:?}");
    }

    // The server accepts them.
    let arguments =
        arguments[1..].iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    TestServer::start(&arguments).join("alice");
}

#[test]
fn openwrt_listen_works_as_option_and_as_list() {
    for (settings, expected) in [
        ("option listen '127.0.0.1:8080'", vec!["127.0.0.1:8080"]),
        ("option listen ' 127.0.0.1:8080  [::1]:8080 '", vec!["127.0.0.1:8080", "[::1]:8080"]),
        ("list listen '[::]:8080'", vec!["[::]:8080"]),
        (
            "list listen 'unix:/run/a'\n list listen ''\n list listen '10.0.0.1:1'",
            vec!["unix:/run/a", "10.0.0.1:1"],
        ),
        ("option listen '*:8080'", vec!["*:8080"]),
    ] {
        let parameters = procd_parameters(Some(&enabled(settings)));
        assert_eq!(addresses(&parameters), expected, "{settings}");
        assert!(!parameters.iter().any(|line| line.starts_with("logger")), "{parameters:?}");
    }
}

#[test]
fn openwrt_server_without_address_does_not_start() {
    for settings in
        ["", "option listen ''", "option listen '  '", "list listen ''", "list listen ' '"]
    {
        let config = enabled(settings)
            + "config smolchatd 'lan'\n option enabled '1'\n"
            + "option listen '192.168.1.1:8080'\n";
        let parameters = procd_parameters(Some(&config));
        assert!(parameters[0].starts_with("logger -t smolchatd "), "{settings}: {parameters:?}");
        assert!(parameters[0].contains("'main' not started: no address in 'listen'"));
        // The other server starts.
        assert_eq!(parameters[1], "open lan", "{parameters:?}");
        assert_eq!(addresses(&parameters), ["192.168.1.1:8080"]);
    }
}

#[test]
fn openwrt_reports_what_it_cannot_use() {
    let settings = "list listen '127.0.0.1:0'\n option max_client '5'\n list Listen '::1'";
    let parameters = procd_parameters(Some(&enabled(settings)));
    let is_report = |name: &str| {
        let end = format!("unknown option '{name}' is ignored");
        parameters.iter().any(|line| line.starts_with("logger") && line.ends_with(&end))
    };
    assert!(is_report("max_client") && is_report("Listen"), "{parameters:?}");
    assert_eq!(addresses(&parameters), ["127.0.0.1:0"]);

    let parameters = procd_parameters(None);
    assert!(
        parameters[0].ends_with("not readable for uci: no server is started"),
        "{parameters:?}"
    );
    assert_eq!(parameters.len(), 1);
}

#[test]
fn openwrt_upgrade_keeps_the_service() {
    let keep = read_source("deploy/openwrt/smolchatd.keep");
    let kept: HashSet<&str> = keep.lines().filter(|line| !line.starts_with('#')).collect();
    for path in ["/usr/bin/smolchatd", "/etc/config/smolchatd", "/etc/init.d/smolchatd"] {
        assert!(kept.contains(path), "{path}");
    }
    // The links that `/etc/init.d/smolchatd enable` makes.
    let script = read_source("deploy/openwrt/smolchatd.init");
    for (name, letter) in [("START=", 'S'), ("STOP=", 'K')] {
        let number = script.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let link = format!("/etc/rc.d/{letter}{number}smolchatd");
        assert!(kept.contains(&*link), "{link}");
    }
    // The list itself, for the next upgrade.
    assert!(kept.contains("/lib/upgrade/keep.d/smolchatd"));
}

/// Does what openrc-run does to start a service with supervise-daemon, and prints its arguments.
const OPENRC: &str = r#"
    RC_SVCNAME=smolchatd
    need() { echo "need $*"; }
    use() { echo "use $*"; }
    after() { echo "after $*"; }
    supervise() { for argument in "$@"; do echo "argument $argument"; done; }
    eval "$CONF"
    . ./smolchatd.initd
    depend
    echo "supervisor ${supervisor:-} ${command_background:-}"
    eval supervise "$RC_SVCNAME" --start \
        ${retry:+--retry} ${retry:-} \
        ${output_logger:+--stdout-logger \"$output_logger\"} \
        ${error_logger:+--stderr-logger \"$error_logger\"} \
        ${pidfile:+--pidfile} ${pidfile:-} \
        ${respawn_delay:+--respawn-delay} ${respawn_delay:-} \
        ${respawn_max:+--respawn-max} ${respawn_max:-} \
        ${no_new_privs:+--no_new_privs} \
        ${command_user:+--user} ${command_user:-} \
        ${supervise_daemon_args:-} \
        $command -- ${command_args:-}
"#;

#[test]
fn openrc_service_is_supervised_without_limit() {
    let run = |conf: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-euc", OPENRC]).current_dir(Path::new(SOURCE).join("deploy/openrc"));
        stdout(shell.env("CONF", conf).output().unwrap())
    };
    let output = run("SMOLCHATD_OPTIONS='--listen 127.0.0.1:0 --max-clients 5'");
    assert!(output.contains("supervisor supervise-daemon \n"), "{output}");
    assert!(output.contains("need net\n"), "{output}");
    let arguments = output.lines().filter_map(|line| line.strip_prefix("argument "));
    let arguments: Vec<&str> = arguments.collect();
    let position = |name: &str| arguments.iter().position(|argument| *argument == name);
    let value = |name: &str| position(name).map(|at| arguments[at + 1]);
    assert_eq!(value("--respawn-max"), Some("0"));
    assert_eq!(value("--respawn-delay"), Some("2"));
    assert_eq!(value("--user"), Some("nobody"));
    assert_eq!(value("--retry"), Some("TERM/30/KILL/5"));
    assert_eq!(value("--stderr-logger"), Some("logger -t smolchatd -p daemon.info"));
    // The spelling that all versions know: those before 0.52 pass on `no_new_privs` with another.
    assert!(position("--no-new-privs").is_some() && position("--no_new_privs").is_none());
    let command = position("--").unwrap();
    assert_eq!(arguments[command - 1], "/usr/bin/smolchatd");
    // The server accepts the options.
    TestServer::start(&arguments[command + 3..]).join("alice");
    // Without a configuration.
    assert!(run("").ends_with("argument --\n"));
}
