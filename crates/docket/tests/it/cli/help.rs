//! What every command says of itself, and what a mistyped one is told.

use super::{Shell, Site, reviewed};

const COMMANDS: [&str; 37] = [
    "",
    "init",
    "serve",
    "keys",
    "keys generate",
    "issuer",
    "issuer add",
    "issuer remove",
    "issuer list",
    "policy",
    "policy set",
    "policy show",
    "policy test",
    "policy replay",
    "trust",
    "trust pin",
    "claim",
    "claim add",
    "claim list",
    "log",
    "log checkpoint",
    "log watch",
    "log proof",
    "log check",
    "show",
    "history",
    "ls",
    "rm",
    "copy",
    "verify",
    "reload",
    "fsck",
    "gc",
    "backup",
    "backup create",
    "backup restore",
    "recover",
];

#[test]
fn every_command_explains_itself() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    let pages = COMMANDS.map(|command| shell.docket(&format!("{command} --help")).expect(0).transcript());
    reviewed("help", &pages.join("\n"));
}

#[test]
fn the_help_lists_every_command_that_was_reviewed() {
    let site = Site::without_data();
    let help = Shell::new(site.folder()).docket("--help").expect(0).out;
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let (commands, _) = commands.split_once("\n\n").expect("options behind it");
    let listed: Vec<_> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let reviewed: Vec<_> =
        COMMANDS.into_iter().filter(|command| !command.is_empty() && !command.contains(' ')).collect();
    assert_eq!(listed, reviewed);
}

#[test]
fn the_version_is_data() {
    let site = Site::without_data();
    let said = Shell::new(site.folder()).docket("--version").expect(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), (concat!("docket ", env!("CARGO_PKG_VERSION"), "\n"), ""));
}

#[test]
fn a_mistyped_command_is_a_usage_error_and_does_nothing() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    let mistyped: &[(&str, &str)] = &[
        ("", "Usage: docket"),
        ("frobnicate", "unrecognized subcommand"),
        ("keys", "Usage: docket keys"),
        ("verify", "required arguments"),
        ("verify localhost:5000/a", "--trust <FILE>"),
        ("verify localhost:5000/a --trust t --outptu json", "unexpected argument"),
        ("verify localhost:5000/a --trust t --output yaml", "invalid value 'yaml'"),
        ("verify alpine --trust t", "no reference to an artifact"),
        ("verify localhost:5000/UPPER --trust t", "no reference to an artifact"),
        ("verify containers-storage:alpine --trust t", "no reference"),
        ("show oci:", "no reference"),
        ("show https://localhost:5000/a", "write docker://host/name:tag, oci:path[:name]"),
        ("copy oci:a", "required arguments"),
        ("copy oci:a oci:b oci:c", "unexpected argument"),
        ("claim add localhost:5000/a:v1 --key k", "--evidence <FILE>"),
        ("claim add localhost:5000/a:v1 --evidence e", "--key <FILE>"),
        ("init --data d", "--service-id <URL>"),
        ("init --data d --service-id registry", "a scheme such as https:"),
        ("init --data d --service-id https://a.example/ü", "may not stand in a URI"),
        ("keys generate", "--out <FILE>"),
        ("keys generate --out a.pub", "cannot end in .pub"),
        ("keys generate --out a.key --issuer wabbit", "a scheme such as https:"),
        ("issuer add wabbit --data d", "<KEY>"),
        ("issuer add wabbit wabbit.pub", "--data <DIR>"),
        ("trust pin http://localhost:5000", "--fingerprint <HEX>"),
        ("trust pin http://localhost:5000 --fingerprint 12ab", "64 lower-case hex digits"),
        ("serve --data d --listen nowhere", "no address with a port"),
        ("fsck", "--data <DIR>"),
    ];
    for (line, words) in mistyped {
        shell.docket(line).fails(64, &[words]);
    }
    let left: Vec<_> = std::fs::read_dir(site.folder()).expect("the folder is ours").collect();
    assert!(left.is_empty(), "{left:?}");
}
