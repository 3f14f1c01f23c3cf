//! What was not checked cannot be used: each of these programs must not compile, for the reason given in its `.stderr`.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
