//! What each command of the command line does.

use std::error::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode};

use troupe_sapi::{Engine, EngineConfig};

use crate::admin_client::{Client, show};
use crate::bench_handler;
use crate::cli::{Command, PhpCli};
use crate::config::{Config, Environment};
use crate::run;

/// The `php` of the build that is linked in; set by the build script.
const PHP_BINARY: &str = env!("TROUPE_PHP_BINARY");

pub fn execute(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Run(file) => serve(&Config::load(&file.config, environment())?),
        Command::PhpServer(flags) => {
            let base = std::env::current_dir()?;
            serve(&Config::from_flags(&flags, &base, environment())?)
        }
        Command::BenchHandler(flags) => {
            let base = std::env::current_dir()?;
            let config = Config::from_flags(&flags, &base, environment())?;
            Ok(bench_handler::run(&config)?)
        }
        Command::PhpCli(PhpCli { args }) => Err(php_cli(args)),
        Command::Check(file) => {
            let config = Config::load(&file.config, environment())?;
            let sites = config.sites.len();
            let path = file.config.display();
            show(&format!("{path} is right: {sites} site(s)"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => version(),
        Command::Tree(tree) => {
            Client::new(&tree.server)?.tree(tree.watch)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Restart(node) => {
            Client::new(&node.server)?.restart(&node.node)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Cancel(node) => {
            Client::new(&node.server)?.cancel(&node.node)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Backtrace(node) => {
            Client::new(&node.server)?.backtrace(&node.node)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The variables that may override the configuration. What is not Unicode is none of them.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("TROUPE_"))
        .collect()
}

/// PHP takes its scan dir from the environment alone, which must not be written to once there are
/// threads: the process starts itself again with the variable set.
fn serve(config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    const SCAN_DIR: &str = "PHP_INI_SCAN_DIR";
    if let Some(scan_dir) = &config.php.scan_dir
        && std::env::var_os(SCAN_DIR).as_deref() != Some(scan_dir.as_os_str())
    {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| "troupe".into());
        let error = Process::new(std::env::current_exe()?)
            .arg0(name)
            .args(arguments)
            .env(SCAN_DIR, scan_dir)
            .exec();
        return Err(error.into());
    }
    Ok(run::run(config)?)
}

/// Becomes the `php` that was built together with the embedded one: the same version, extensions and
/// settings, and every option of `php` itself.
fn php_cli(args: Vec<OsString>) -> Box<dyn Error> {
    let error = Process::new(PHP_BINARY).args(args).exec();
    let is_there = Path::new(PHP_BINARY).exists();
    match is_there {
        true => format!("cannot run {PHP_BINARY}: {error}").into(),
        false => format!("php-cli needs {PHP_BINARY}, which is not there").into(),
    }
}

fn version() -> Result<ExitCode, Box<dyn Error>> {
    let engine = Engine::start(&EngineConfig::default())?;
    let versions = engine.versions();
    let mut text = format!(
        "Troupe {}\nPHP {} (ZTS), Zend Engine {}\nExtensions:\n",
        env!("CARGO_PKG_VERSION"),
        versions.php,
        versions.zend
    );
    for (name, version) in &versions.extensions {
        let version = match version.as_str() {
            // Those that come with PHP have its version.
            "" => "",
            version if version == versions.php => "",
            version => &format!(" {version}"),
        };
        text += &format!("  {name}{version}\n");
    }
    show(&text);
    engine.stop();
    Ok(ExitCode::SUCCESS)
}
