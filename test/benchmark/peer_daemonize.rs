// SPDX-License-Identifier: BSL-1.0

// Rust's daemonize: PROGRAM PIDFILE. SIGTERM ends it as it ends any program.

use daemonize::Daemonize;

const LONGEST_LIFE: u32 = 300;

fn main() {
    let pidfile = std::env::args().nth(1).expect("PIDFILE");
    Daemonize::new().pid_file(pidfile).start().expect("no daemon");
    unsafe { libc::alarm(LONGEST_LIFE) };
    loop {
        unsafe { libc::pause() };
    }
}
