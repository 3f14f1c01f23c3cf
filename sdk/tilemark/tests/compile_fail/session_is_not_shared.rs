//! Two threads cannot run one session at once; each makes its own from the compiled app.
use tilemark::{Input, Session};

fn race(session: &Session, input: Input) {
    let _ = session.run(input);
}

fn main() {}
