//! Scripts that exceed what they may use of time, memory and stack.

use crate::{faults, harms_nobody};

#[test]
fn a_script_that_runs_for_ever_is_ended_by_its_own_limit() {
    let server = faults().start();
    harms_nobody(&server, || {
        server.get("/loop.php?limit=1").expect(500);
    });
    let record = server
        .log()
        .wait_text("Maximum execution time of 1 second exceeded");
    assert!(record.to_string().contains("loop.php"), "{record}");
}

#[test]
fn time_asleep_counts_as_well() {
    let server = faults().start();
    harms_nobody(&server, || {
        server.get("/sleep.php?limit=1").expect(500);
    });
    let record = server
        .log()
        .wait_text("Maximum execution time of 1 second exceeded");
    assert!(record.to_string().contains("sleep.php"), "{record}");
}

#[test]
fn max_execution_time_holds_by_the_clock_from_the_settings_too() {
    let server = faults().ini("max_execution_time", "1").start();
    for script in ["loop.php", "sleep.php"] {
        harms_nobody(&server, || {
            server.get(&format!("/{script}")).expect(500);
        });
        let record = server.log().wait("its record", |record| {
            record
                .to_string()
                .contains("Maximum execution time of 1 second exceeded")
                && record.to_string().contains(script)
        });
        assert_eq!(record["level"], "ERROR");
    }
}

#[test]
fn the_servers_deadline_ends_whatever_a_script_is_in() {
    let server = faults().php("deadline = \"500ms\"").start();
    for call in ["loop", "sleep", "read", "select", "lock", "shutdown"] {
        harms_nobody(&server, || {
            server.get(&format!("/killed.php?in={call}")).expect(504);
        });
    }
}

#[test]
fn a_script_that_exhausts_its_memory_ends_alone() {
    let server = faults().ini("memory_limit", "32M").start();
    harms_nobody(&server, || {
        server.get("/memory.php").expect(500);
    });
    let record = server.log().wait_text("Allowed memory size");
    assert!(record.to_string().contains("memory.php"), "{record}");
}

#[test]
fn recursion_without_end_ends_alone() {
    let server = faults().start();
    for kind in ["functions", "callbacks", "sorting", "matching"] {
        harms_nobody(&server, || {
            server
                .get(&format!("/recursion.php?kind={kind}"))
                .expect(500);
        });
        server.log().wait("its record", |record| {
            record["level"] == "ERROR" && record.to_string().contains("recursion.php")
        });
    }
}

#[test]
fn recursion_to_the_end_of_the_stack_ends_alone() {
    let server = faults().start();
    // Twice for each thread: the end of a stack is watched again.
    for _ in 0..4 {
        harms_nobody(&server, || {
            server.get("/recursion.php?kind=strings").expect(500);
        });
    }
    let record = server.log().wait_text("Maximum call stack size");
    assert!(record.to_string().contains("recursion.php"), "{record}");
    assert_eq!(record["level"], "ERROR");
    for _ in 0..4 {
        harms_nobody(&server, || {
            server.get("/recursion.php?kind=fiber").expect(500);
        });
        let deep = server.get("/recursion.php?kind=fibers").expect(200);
        assert_eq!(deep.text(), "20000", "of fibers that come to no end");
    }
    let page = server.get("/recursion.php?kind=at_the_end").expect(200);
    assert_eq!(page.text(), "body", "in a shutdown function as well");
    server.get("/hello.php").expect(200);
}

#[test]
fn a_chain_of_a_million_objects_can_be_destroyed() {
    let server = faults().ini("memory_limit", "256M").start();
    let response = server.get("/recursion.php?kind=destruction").expect(200);
    assert_eq!(response.text(), "destroyed");
}
