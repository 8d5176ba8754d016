//! PHP in this process: started once, on a thread of its own that also ends it.

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::background::low_fd;
use crate::callbacks::CALLBACKS;
use crate::driver::Driver;
use crate::thread::{self, PhpThread};
use crate::var_name::VarName;
use crate::watchdog::Watchdog;

/// Stack of every thread that runs PHP. It is address space, of which only what is used becomes memory.
///
/// Before 8.3 PHP has no stack limit of its own. With a stack of this size, recursion through internal functions
/// (a callback of `array_map` that calls `array_map`) and the destruction of long chains of objects meet the
/// usual `memory_limit` before the end of the stack; what gets there all the same is ended by the shim (`stack.c`).
pub(crate) const STACK: usize = 512 * 1024 * 1024;

static STARTED: AtomicBool = AtomicBool::new(false);

/// How PHP is configured.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// A `php.ini`, or the folder that holds one; `None` takes PHP's built-in place.
    pub php_ini: Option<PathBuf>,
    /// Settings that `php.ini` may override.
    pub defaults: Vec<(String, String)>,
    /// Settings that win over `php.ini`; scripts may change those that PHP lets them.
    pub ini: Vec<(String, String)>,
    /// Settings that win over `php.ini` and that no script may change.
    pub locked: Vec<(String, String)>,
}

/// Why PHP did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// PHP lives in process-wide state, so a second start is refused.
    #[error("PHP was started in this process before; it can be started once")]
    AlreadyStarted,
    /// A setting would break the ini text it becomes part of.
    #[error("the PHP setting {name:?} has a line break or NUL in its name or value")]
    BadSetting {
        /// The setting.
        name: String,
    },
    /// PHP's own start-up failed.
    #[error("PHP did not start: {0}")]
    Startup(String),
    /// The system refused a thread.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Versions of what is embedded.
#[derive(Debug, Clone)]
pub struct Versions {
    /// PHP's.
    pub php: String,
    /// The Zend Engine's.
    pub zend: String,
    /// Loaded extensions with their versions, sorted by name.
    pub extensions: Vec<(String, String)>,
}

/// The running PHP. Dropped or stopped last: when every [`PhpThread`] has ended.
pub struct Engine {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    watchdog: Arc<Watchdog>,
    versions: Versions,
}

impl Engine {
    /// Starts PHP with all its extensions; blocks until it is up (preloading included).
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        let config = NativeConfig::new(config)?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EngineError::AlreadyStarted);
        }
        let (stop, stopped) = channel();
        let (started, result) = channel();
        let spawned = std::thread::Builder::new()
            .name("php-engine".into())
            .stack_size(STACK)
            .spawn(move || live(&config, &started, &stopped));
        let refused = |name: &str, source| EngineError::Thread {
            name: name.into(),
            source,
        };
        let thread = spawned.map_err(|source| refused("php-engine", source))?;
        let versions = result
            .recv()
            .unwrap_or_else(|_| Err("its start-up thread died".into()))
            .map_err(EngineError::Startup)?;
        low_fd::reserve()
            .map_err(|error| EngineError::Startup(format!("cannot open /dev/null: {error}")))?;
        let watchdog = Watchdog::start().map_err(|source| refused("watchdog", source))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            watchdog,
            versions,
        })
    }

    /// What is embedded.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Starts a PHP thread. `make_driver` runs on it and makes what drives it.
    pub fn spawn_thread(
        &self,
        name: &str,
        make_driver: impl FnOnce() -> Box<dyn Driver> + Send + 'static,
    ) -> Result<PhpThread, EngineError> {
        thread::spawn(name, self.watchdog.clone(), make_driver).map_err(|source| {
            EngineError::Thread {
                name: name.into(),
                source,
            }
        })
    }

    /// Ends PHP, its extensions' shut-down included. Call it when every PHP thread has ended; with a thread
    /// that was written off, leave the process without it instead.
    pub fn stop(mut self) {
        self.watchdog.stop();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Leaves the process without ending PHP: while a thread that was written off still runs scripts, neither PHP
/// nor the C library's exit handlers can take down what it uses.
pub fn leave_process(status: i32) -> ! {
    // SAFETY: _exit takes no memory and does not return.
    unsafe { libc::_exit(status) }
}

/// The engine thread: PHP wants to be ended by the thread that started it.
fn live(config: &NativeConfig, started: &Sender<Result<Versions, String>>, stopped: &Receiver<()>) {
    let names: Vec<_> = VarName::ALL
        .iter()
        .map(|name| php_sys::troupe_bytes {
            ptr: name.as_ptr().cast(),
            len: name.len(),
        })
        .collect();
    let native = php_sys::troupe_engine_config {
        php_ini: config
            .php_ini
            .as_ref()
            .map_or(ptr::null(), |path| path.as_ptr()),
        ini_defaults: config.defaults.as_ptr(),
        ini_entries: config.entries.as_ptr(),
        ini_locked: config.locked_names.as_ptr(),
        names: names.as_ptr(),
        name_count: names.len(),
    };
    // SAFETY: `STARTED` lets one thread get here once in the life of the process; the strings of `native` live
    // in `config`, which the caller keeps until PHP has ended, and in `names`; CALLBACKS is a static.
    let failure = unsafe { php_sys::troupe_engine_start(&native, &CALLBACKS) };
    if !failure.is_null() {
        // SAFETY: the shim returns string literals.
        let reason = unsafe { CStr::from_ptr(failure) }
            .to_string_lossy()
            .into_owned();
        let _ = started.send(Err(reason));
        return;
    }
    let _ = started.send(Ok(versions()));
    // Ends when the engine is dropped.
    let _ = stopped.recv();
    // SAFETY: this is the thread that started PHP, and `Engine::stop` is called when all others have ended.
    unsafe { php_sys::troupe_engine_stop() };
}

fn versions() -> Versions {
    // SAFETY: version strings are literals of the shim and of PHP's modules, which stay loaded; a module may
    // have no version, which `text` takes.
    unsafe {
        let count = php_sys::troupe_extensions(ptr::null_mut(), ptr::null_mut(), 0);
        let mut names: Vec<*const c_char> = vec![ptr::null(); count];
        let mut versions = names.clone();
        let count =
            php_sys::troupe_extensions(names.as_mut_ptr(), versions.as_mut_ptr(), count).min(count);
        let mut extensions: Vec<_> = (0..count)
            .map(|index| (text(names[index]), text(versions[index])))
            .collect();
        extensions.sort_by_key(|(name, _)| name.to_lowercase());
        Versions {
            php: text(php_sys::troupe_php_version()),
            zend: text(php_sys::troupe_zend_version()),
            extensions,
        }
    }
}

/// # Safety
/// `text` is NULL or ends with NUL.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// The configuration as the shim reads it.
struct NativeConfig {
    php_ini: Option<CString>,
    defaults: CString,
    entries: CString,
    locked_names: CString,
}

impl NativeConfig {
    fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        let bad = |name: &str| EngineError::BadSetting {
            name: name.to_owned(),
        };
        let all = config
            .defaults
            .iter()
            .chain(&config.ini)
            .chain(&config.locked);
        for (name, value) in all {
            let breaks = |text: &str| text.contains(['\n', '\r', '\0']);
            if name.is_empty() || name.contains('=') || breaks(name) || breaks(value) {
                return Err(bad(name));
            }
        }
        let php_ini = match &config.php_ini {
            None => None,
            Some(path) => {
                let bytes = path.as_os_str().as_encoded_bytes();
                Some(CString::new(bytes).map_err(|_| bad("php_ini"))?)
            }
        };
        let lines = |settings: &[(String, String)], quote: fn(&str) -> String| {
            settings
                .iter()
                .map(|(name, value)| format!("{name}={}\n", quote(value)))
                .collect::<String>()
        };
        let entries = lines(&config.ini, quoted) + &lines(&config.locked, quoted);
        let locked: String = config
            .locked
            .iter()
            .map(|(name, _)| format!("{name}\n"))
            .collect();
        let c_text = |text: String| CString::new(text).map_err(|_| bad("ini"));
        Ok(Self {
            php_ini,
            defaults: c_text(lines(&config.defaults, str::to_owned))?,
            entries: c_text(entries)?,
            locked_names: c_text(locked)?,
        })
    }
}

/// A value as PHP's ini parser reads it back unchanged: words and numbers bare, so that `On` and `128M` keep
/// their meaning, everything else in quotes. What brings its own quotes, as in php.ini, and what is to be
/// calculated (`E_ALL & ~E_NOTICE`) stay as they are.
fn quoted(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if value.chars().all(bare) || is_in_quotes(value) || is_calculated(value) {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn is_in_quotes(value: &str) -> bool {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').is_some_and(|inner| !inner.contains('"'))
        || inner('\'').is_some_and(|inner| !inner.contains('\''))
}

/// Constants and numbers with operators between them.
fn is_calculated(value: &str) -> bool {
    const OPERATORS: &str = "|&^~!() ";
    let is_operand = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    value.contains(['|', '&', '^', '~', '!'])
        && value
            .split(|c| OPERATORS.contains(c))
            .filter(|word| !word.is_empty())
            .all(is_operand)
        && value.contains(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ini_values_are_quoted_when_the_parser_would_misread_them() {
        assert_eq!(quoted("128M"), "128M");
        assert_eq!(quoted("On"), "On");
        assert_eq!(quoted("a=href,form="), "\"a=href,form=\"");
        assert_eq!(quoted("Hello & bye"), "\"Hello & bye\"");
        assert_eq!(quoted("&"), "\"&\"");
        assert_eq!(quoted("say \"hi\""), "\"say \\\"hi\\\"\"");
    }

    #[test]
    fn what_is_calculated_or_quoted_already_stays_as_it_is() {
        for value in [
            "E_ALL & ~E_NOTICE",
            "E_ALL&~(E_NOTICE|8)",
            "\"/tmp\"",
            "'a b'",
            "\"\"",
        ] {
            assert_eq!(quoted(value), value);
        }
        assert_eq!(quoted("\"a\" \"b\""), "\"\\\"a\\\" \\\"b\\\"\"");
    }

    #[test]
    fn a_setting_that_would_smuggle_a_second_line_in_is_refused() {
        let config = EngineConfig {
            ini: vec![("a".into(), "1\nauto_prepend_file=x".into())],
            ..EngineConfig::default()
        };
        assert!(
            matches!(NativeConfig::new(&config), Err(EngineError::BadSetting { name }) if name == "a")
        );
    }
}
