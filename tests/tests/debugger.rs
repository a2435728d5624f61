//! A debugged function. It is built otherwise than the other stages' functions, to the same place, so no other stage starts
//! meanwhile.
use std::process::{Command, Stdio};

use acceptance::{Stage, eventually};

#[test]
fn a_debugger_stops_a_function_at_its_handler() {
    if Command::new("gdb").arg("--version").output().is_err() {
        let must_run = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!must_run, "gdb is not installed");
        eprintln!("skipped: a_debugger_stops_a_function_at_its_handler: gdb is not installed");
        return;
    }
    let stage = Stage::start_with(&["--debug", "serve-shop"]);
    let get = || stage.get("SHOP_URL", "/").status;
    std::thread::scope(|scope| {
        let request = scope.spawn(get);
        let attach = eventually("the command that attaches a debugger", || {
            let log = stage.log();
            let command = log.lines().find(|line| line.contains("gdb -p "));
            command.map(str::to_owned)
        });
        // Another function does not wait.
        assert_eq!(stage.get("ORDERS_URL", "/orders").status, 200);
        assert!(!request.is_finished());

        let then = "-batch -ex backtrace -ex 'info locals' -ex detach";
        let debugged = Command::new("sh")
            .args(["-c", &format!("{attach} {then}")])
            .current_dir(acceptance::workspace())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let shown = acceptance::both(&debugged);
        for wanted in [
            "Breakpoint 1, serve_shop::",
            "in serve_shop::start::{async_fn#0}",
            "tests/example/functions/serve-shop/src/main.rs:",
            // A variable, of which the dev profile has none.
            "request = ",
            "detached",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        assert_eq!(request.join().unwrap(), 200);
    });
    // The process that was debugged goes on.
    assert_eq!(get(), 200);
}
