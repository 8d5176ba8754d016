//! Pools that grow with their tasks and shrink when there are none.

use std::collections::BTreeSet;
use std::thread;

use troupe_tests::{Server, Setup, eventually};

use crate::node;

fn crew(lines: &str) -> Server {
    Setup::serving("background")
        .php("threads = 8")
        .background(
            "crew.php",
            &format!("name = \"crew\"\ngrace = \"1h\"\n{lines}"),
        )
        .start()
}

fn noted(server: &Server, file: &str) -> Vec<String> {
    server
        .folder()
        .read(file)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Tasks that begin together, and who did them once `until` is there.
fn crowd(server: &Server, tasks: usize, until: &str) -> Vec<String> {
    let page = format!("/crowd.php?tasks={tasks}&until={until}");
    serde_json::from_value(server.get(&page).expect(200).json()).unwrap()
}

fn size(server: &Server) -> usize {
    node(server, "site:default:background:crew")["children"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn threads_are_added_while_tasks_wait_and_leave_when_they_are_idle() {
    for num in [0, 1] {
        let server = crew(&format!("num = {num}\nmax_threads = 3"));
        thread::scope(|scope| {
            let crowd = scope.spawn(|| crowd(&server, 4, "go"));
            // The fourth waits: three are at work, and there are no more.
            eventually("three work", || {
                (noted(&server, "began").len() == 3).then_some(())
            });
            assert_eq!(size(&server), 3);
            server.folder().write("go", "");
            let by = crowd.join().unwrap();
            assert_eq!(by.len(), 4);
            assert_eq!(by.iter().collect::<BTreeSet<_>>().len(), 3);
        });
        eventually("one is left", || (size(&server) == 1).then_some(()));
        // Asked by "stop\n", they left by themselves: their grace is an hour.
        assert_eq!(noted(&server, "left").len(), 2);
        assert_eq!(crowd(&server, 1, "go").len(), 1);
        assert_eq!(
            noted(&server, "came").len(),
            3,
            "it is the first that stays"
        );
    }
}

#[test]
fn a_thread_with_a_task_in_hand_is_not_asked_to_leave() {
    let server = crew("num = 1\nmax_threads = 3");
    thread::scope(|scope| {
        let server = &server;
        let mut crowds = Vec::new();
        // The first goes to the thread that always runs, the second and third to added ones.
        for (number, until) in (1..).zip(["short", "long", "short"]) {
            crowds.push(scope.spawn(move || crowd(server, 1, until)));
            eventually("it is worked on", || {
                (noted(server, "began").len() == number).then_some(())
            });
        }
        server.folder().write("short", "");
        eventually("the idle one leaves", || (size(server) == 2).then_some(()));
        let worker = noted(server, "began")[1].clone();
        assert!(!noted(server, "left").contains(&worker));
        server.folder().write("long", "");
        assert_eq!(crowds.remove(1).join().unwrap(), [worker]);
    });
    eventually("it leaves when it is done", || {
        (size(&server) == 1).then_some(())
    });
}

#[test]
fn threads_of_a_pool_share_one_queue_and_one_name() {
    let server = crew("num = 3\nmax_queue = 9");
    thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(&server, 9, "go"));
        eventually("three work", || {
            (noted(&server, "began").len() == 3).then_some(())
        });
        server.folder().write("go", "");
        let by = crowd.join().unwrap();
        assert_eq!(by.len(), 9);
        assert_eq!(by.iter().collect::<BTreeSet<_>>().len(), 3);
    });
    assert_eq!(size(&server), 3);
}
