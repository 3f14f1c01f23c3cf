//! x
/// x
pub fn import() {}
