//! The command line. Every command and flag documents itself: `troupe help`, `troupe help run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::ServerFlags;

/// A PHP application server: one binary, PHP inside, workers under a supervision tree
#[derive(Debug, Parser)]
#[command(name = "troupe", version, disable_help_flag = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the sites of a configuration file
    Run(ConfigFile),

    /// Serve one folder, without a configuration file
    PhpServer(ServerFlags),

    /// Run a PHP script, as `php` does
    ///
    /// Everything that follows is for PHP: its own options, the script, the script's arguments.
    #[command(disable_help_flag = true)]
    PhpCli(PhpCli),

    /// Check a configuration file and say everything that is wrong with it
    Check(ConfigFile),

    /// Say which Troupe, PHP, Zend Engine and extensions these are
    Version,

    /// Show the supervision tree of a running server
    Tree(Tree),

    /// Restart a worker, a pool, a site or everything, without losing a request
    Restart(Node),

    /// Cancel a task: its sender and its worker are told so
    Cancel(Node),

    /// Show what PHP code a worker runs at this moment
    Backtrace(Node),

    /// Answer without PHP: the yardstick of tests/bench
    #[command(hide = true)]
    BenchHandler(ServerFlags),
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "troupe.toml")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct PhpCli {
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub args: Vec<OsString>,
}

/// How to reach a running server.
#[derive(Debug, Args)]
pub struct AdminAddress {
    /// Where its admin endpoint listens: ADDR:PORT or unix:PATH
    #[arg(
        long,
        value_name = "ADDR",
        env = "TROUPE_ADMIN_LISTEN",
        default_value = "127.0.0.1:2019"
    )]
    pub admin: String,

    /// The admin endpoint's token, if it has one
    #[arg(long, env = "TROUPE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Args)]
pub struct Tree {
    /// Keep showing it as it changes, until interrupted
    #[arg(short, long)]
    pub watch: bool,

    #[command(flatten)]
    pub server: AdminAddress,
}

#[derive(Debug, Args)]
pub struct Node {
    /// The node's id, as `troupe tree` shows it
    pub node: String,

    #[command(flatten)]
    pub server: AdminAddress,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn every_command_and_flag_documents_itself() {
        let mut command = Cli::command();
        command.build();
        for command in command.get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for flag in command.get_arguments() {
                let documented = flag.get_help().is_some() || flag.is_trailing_var_arg_set();
                assert!(documented, "{} {}", command.get_name(), flag.get_id());
            }
        }
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documentation_knows_every_command_and_flag() {
        let documentation = include_str!("../../docs/start.md");
        for command in Cli::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
        {
            let name = command.get_name();
            assert!(documentation.contains(name), "{name}");
        }
        let command = Cli::command();
        let server = command.find_subcommand("php-server").unwrap();
        for flag in server.get_arguments() {
            let flag = match (flag.get_long(), flag.get_short()) {
                (Some(long), _) => format!("`--{long}"),
                (None, short) => format!("`-{}", short.unwrap()),
            };
            assert!(documentation.contains(&flag), "{flag}");
        }
    }

    #[test]
    fn php_cli_passes_everything_through() {
        let Ok(Command::PhpCli(php)) = parse("troupe php-cli -d a=b --help x.php -- --version")
        else {
            panic!("not php-cli");
        };
        assert_eq!(
            php.args,
            ["-d", "a=b", "--help", "x.php", "--", "--version"]
        );
    }

    #[test]
    fn php_server_takes_repeated_flags() {
        let line = "troupe php-server --root www --listen :80 --listen :81 -d a=1 -d b --worker x.php,2 --background q=y.php --admin off";
        let Ok(Command::PhpServer(flags)) = parse(line) else {
            panic!("not php-server");
        };
        assert_eq!(flags.listen, [":80", ":81"]);
        assert_eq!(flags.define, ["a=1", "b"]);
        assert_eq!(flags.background, ["q=y.php"]);
    }

    #[test]
    fn a_mistyped_command_is_an_error_with_a_suggestion() {
        let error = parse("troupe chekc").unwrap_err().to_string();
        assert!(error.contains("check"), "{error}");
    }
}
