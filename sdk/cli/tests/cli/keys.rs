//! Key files: who can read them, what is never overwritten, and openssl's.

use std::process::Command;

use crate::workshop::Workshop;

#[cfg(unix)]
#[test]
fn the_secret_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Workshop::new();
    shop.tilemark("keygen --out vendor").ok().prints("vendor.key").prints("key id");
    let mode = |name| std::fs::metadata(shop.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("vendor.key"), 0o600);
    assert_eq!(mode("vendor.pub") & 0o022, 0);
    assert!(shop.read("vendor.key").starts_with(b"-----BEGIN PRIVATE KEY-----"));
    assert!(shop.read("vendor.pub").starts_with(b"-----BEGIN PUBLIC KEY-----"));
}

#[test]
fn keys_are_never_overwritten() {
    let shop = Workshop::new();
    shop.write("vendor.key", "precious");
    shop.tilemark("keygen --out vendor").fails(1, "TM0603").says("vendor.key exists already");
    assert_eq!(shop.read("vendor.key"), b"precious");
    assert!(!shop.path("vendor.pub").exists());

    shop.write("other.pub", "precious");
    shop.tilemark("keygen --out other").fails(1, "TM0603").says("other.pub exists already");
    assert_eq!(shop.read("other.pub"), b"precious");
    assert!(!shop.path("other.key").exists(), "half a pair is left behind");
}

#[test]
fn a_name_with_dots_keeps_them() {
    let shop = Workshop::new();
    shop.tilemark("keygen --out acme.2026").ok();
    assert!(shop.path("acme.2026.key").exists() && shop.path("acme.2026.pub").exists());
}

#[test]
fn ecdsa_keys_sign_the_same_bundle_with_other_bytes() {
    let shop = Workshop::with_sources();
    shop.tilemark("keygen --out p256 --algorithm ecdsa-p256").ok();
    shop.tilemark("pack app.toml --key p256.key -o a.tmk").ok();
    shop.tilemark("pack app.toml --key p256.key -o b.tmk").ok();
    shop.tilemark("verify a.tmk --trust p256.pub").ok().prints("ecdsa-p256 key");
    let identity = |name: &str| {
        let json = shop.tilemark(&format!("inspect {name} --json")).ok().json();
        json["identity"].as_str().unwrap().to_owned()
    };
    assert_eq!(identity("a.tmk"), identity("b.tmk"));
    assert_ne!(shop.read("a.tmk"), shop.read("b.tmk"), "ECDSA draws randomness for every signature");
}

#[test]
fn keys_made_by_openssl_sign() {
    let shop = Workshop::with_sources();
    let generate = ["-algorithm ed25519", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"];
    for (i, options) in generate.iter().enumerate() {
        let openssl =
            |line: &str| Command::new("openssl").args(line.split(' ')).current_dir(shop.path("")).output();
        let Ok(made) = openssl(&format!("genpkey {options} -out ssl{i}.key")) else {
            println!("skipped: there is no openssl here");
            return;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(openssl(&format!("pkey -in ssl{i}.key -pubout -out ssl{i}.pub")).unwrap().status.success());
        shop.tilemark(&format!("pack app.toml --key ssl{i}.key -o {i}.tmk")).ok();
        shop.tilemark(&format!("verify {i}.tmk --trust ssl{i}.pub")).ok();
    }
}
