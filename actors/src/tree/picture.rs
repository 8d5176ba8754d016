//! The tree drawn for a terminal.

use std::fmt::Write;
use std::time::Duration;

use super::node::{Kind, Node};

/// Draws `node` and everything below it, one line each, columns aligned.
pub fn picture(node: &Node) -> String {
    let mut rows = Vec::new();
    collect(node, "", "", &mut rows);
    let width = |column: fn(&Row) -> &String| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or(0)
    };
    let names = width(|row| &row.name);
    let (ids, states) = (width(|row| &row.id), width(|row| &row.state));
    let mut text = String::new();
    for Row {
        name,
        id,
        state,
        about,
    } in &rows
    {
        let line = format!("{name:<names$}  {id:<ids$}  {state:<states$}  {about}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// So many children of a node are drawn: a site may have thousands of tasks.
const MOST: usize = 100;

struct Row {
    name: String,
    /// What commands call it.
    id: String,
    state: String,
    about: String,
}

fn collect(node: &Node, first: &str, rest: &str, rows: &mut Vec<Row>) {
    rows.push(Row {
        name: format!("{first}{}", title(node)),
        id: node.id.to_string(),
        state: format!("{} {}", state(node), duration(node.age)),
        about: about(node),
    });
    let shown = &node.children[..node.children.len().min(MOST)];
    let last = shown.len().saturating_sub(1);
    for (place, child) in shown.iter().enumerate() {
        let (branch, trunk) = if place == last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        collect(
            child,
            &format!("{rest}{branch}"),
            &format!("{rest}{trunk}"),
            rows,
        );
    }
}

fn title(node: &Node) -> String {
    match node.kind {
        Kind::Root | Kind::ClassicPool | Kind::Tasks => node.kind.label().to_owned(),
        Kind::Task => format!(
            "task {} for {}",
            node.id.as_str().rsplit(':').next().unwrap_or_default(),
            printable(&node.name)
        ),
        kind => format!("{} {}", kind.label(), printable(&node.name)),
    }
}

/// A worker that is ready and serves is busy to the eye.
fn state(node: &Node) -> &'static str {
    if node.current.is_some() {
        "busy"
    } else {
        node.state.label()
    }
}

fn about(node: &Node) -> String {
    let mut parts = Vec::new();
    if let Some(current) = &node.current {
        parts.push(format!(
            "{} for {}",
            printable(&current.what),
            duration(current.age)
        ));
    }
    if let Some(errand) = &node.errand {
        parts.push(format!("from {}", printable(&errand.sender)));
        if let Some(worker) = &errand.worker {
            parts.push(format!("at {worker}"));
        }
        parts.push(format!(
            "updates {}/{} read",
            errand.updates_read, errand.updates_sent
        ));
    }
    if node.children.len() > MOST {
        parts.push(format!(
            "{}, the first {MOST} are shown",
            node.children.len()
        ));
    }
    if let Some(running) = node.running {
        parts.push(format!("running {running}"));
    }
    if let Some(queue) = node.queue {
        parts.push(format!("queue {}/{}", queue.depth, queue.capacity));
    }
    if let Some(failures) = node.failures.filter(|failures| failures.in_window > 0) {
        parts.push(format!(
            "failures {}/{} in {} s",
            failures.in_window, failures.limit, failures.window_s
        ));
    }
    if let Some(wait) = node.next_start_in {
        parts.push(format!("starts in {}", duration(wait)));
    }
    if let Some(served) = node.served {
        parts.push(format!("served {served}"));
    }
    if let Some(memory) = node.memory {
        parts.push(format!("{:.1} MB", memory as f64 / 1e6));
    }
    if node.generation > 1 {
        parts.push(format!("start {}", node.generation));
    }
    if let Some(exit) = &node.last_exit {
        parts.push(format!("last exit {}", printable(&exit.detail.to_string())));
    }
    parts.join(", ")
}

/// URIs and messages come from strangers: no control character reaches the terminal, and no line its end.
fn printable(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut safe = String::new();
    for (place, character) in text.chars().enumerate() {
        if place == LONGEST {
            safe.push('…');
            break;
        }
        if character.is_control() {
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_scale() {
        let texts: Vec<String> = [340, 1_250, 61_000, 3_661_000, 90_061_000]
            .map(|ms| duration(Duration::from_millis(ms)))
            .into();
        assert_eq!(texts, ["340 ms", "1.2 s", "1m01s", "1h01m", "1d01h"]);
    }

    #[test]
    fn strangers_cannot_write_to_the_terminal() {
        assert_eq!(printable("/\u{1b}[2J\n"), "/\\u{1b}[2J\\n");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 121);
    }
}
