//! What a hostile registry tries.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tilemark_bundle::sha256;

use super::fake::{Fake, answer, digest};
use super::{Fair, report};
use crate::attacks::shop::key;
use crate::oci::{Access, Credentials};

/// The layer with the weights.
fn weights() -> String {
    format!("blobs/{}", digest(&vec![7; 300_000]))
}

#[test]
fn a_layer_with_other_bytes() {
    let fair = Fair::with_release();
    fair.fake.state.lock().unwrap().blobs.insert(digest(&vec![7; 300_000]), vec![8; 300_000]);
    fair.refuses(":v1", "TM0805");
    fair.fake.state.lock().unwrap().blobs.insert(digest(&vec![7; 300_000]), vec![7; 299_999]);
    fair.refuses(":v1", "TM0804");
    fair.push(1, "v1", &[]);
    fair.fake.state.lock().unwrap().blobs.insert(digest(&vec![7; 300_000]), vec![7; 300_000]);
    fair.pull(":v1").unwrap();
}

#[test]
fn layers_and_manifests_without_end() {
    for (part, code) in [(weights(), "TM0805"), ("manifests/v1".into(), "TM0803")] {
        let fair = Fair::with_release();
        fair.fake.instead(move |asked, client| {
            if !asked.is("GET", &part) {
                return false;
            }
            // The length that it states is no length to believe.
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
            while client.write_all(&[b' '; 1 << 16]).is_ok() {}
            true
        });
        fair.refuses(":v1", code);
    }
}

#[test]
fn a_manifest_that_is_too_large() {
    let fair = Fair::with_release();
    let huge = vec![b' '; (4 << 20) + 1];
    fair.fake.state.lock().unwrap().manifests.insert("v1".into(), ("x".into(), huge));
    fair.refuses(":v1", "TM0803");
}

#[test]
fn what_is_no_image_of_a_bundle() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(Change, &str); 10] = [
        (|m| m["mediaType"] = "application/vnd.oci.image.index.v1+json".into(), "image.index"),
        (|m| m["schemaVersion"] = 1.into(), "schema version 1"),
        (|m| m["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json".into(), "its config"),
        (
            |m| m["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into(),
            "its first layer",
        ),
        (|m| m["layers"] = serde_json::json!([]), "no layers"),
        (|m| m["layers"][0]["digest"] = "sha512:00".into(), "no SHA-256"),
        (|m| drop(m["layers"].as_array_mut().unwrap().pop()), "1 layers for 2 blobs"),
        (|m| m["layers"].as_array_mut().unwrap().swap(1, 2), "no layer is the bundle's blob weights"),
        (|m| m["layers"][1]["size"] = 5.into(), "no layer is the bundle's blob weights"),
        (|m| *m = serde_json::json!({ "manifests": [] }), "missing field"),
    ];
    for (change, expected) in changes {
        let fair = Fair::with_release();
        fair.fake.change_manifest("v1", change);
        let said = fair.refuses(":v1", "TM0860");
        assert!(said.contains(expected), "{said}");
    }
    let fair = Fair::with_release();
    fair.fake.change_manifest("v1", |m| m["layers"][0]["size"] = 99_999_999_999_u64.into());
    fair.refuses(":v1", "TM0803");
    let fair = Fair::with_release();
    fair.fake.change_manifest("v1", |m| {
        let layer = m["layers"][1].clone();
        m["layers"].as_array_mut().unwrap().extend(vec![layer; 5000]);
    });
    fair.refuses(":v1", "TM0860");
}

#[test]
fn names_that_lead_out_of_a_folder_name_nothing() {
    let fair = Fair::with_release();
    fair.fake.change_manifest("v1", |manifest| {
        manifest["layers"][1]["annotations"]["org.cncf.model.filepath"] = "../../evil".into();
    });
    fair.pull(":v1").unwrap();
    assert_eq!(fair.pulled(), fair.file(1));
    let names = std::fs::read_dir(fair.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["app.tmk", "floors", "parts"]);
}

#[test]
fn a_bundle_by_a_stranger() {
    let mut fair = Fair::with_release();
    fair.acme = key();
    fair.refuses(":v1", "TM0131");
    assert_eq!(fair.fake.count(&weights()), 1, "asked for when it was pushed, and not fetched");
}

#[test]
fn another_image_than_the_digest_says() {
    let fair = Fair::with_release();
    let image = fair.push(1, "v1", &[]).image;
    fair.push(2, "v2", &[]);
    let mut state = fair.fake.state.lock().unwrap();
    let other = state.manifests["v2"].clone();
    state.manifests.insert(format!("sha256:{image}"), other);
    drop(state);
    fair.refuses(&format!("@sha256:{image}"), "TM0805");
}

#[test]
fn a_tag_that_moves_meanwhile() {
    let fair = Fair::with_release();
    let first = fair.push(1, "v1", &[]).image;
    fair.push(2, "v2", &[]);
    let second = fair.fake.state.lock().unwrap().manifests["v2"].1.clone();
    let mut times = 0;
    fair.fake.instead(move |asked, client| {
        times += usize::from(asked.is("GET", "manifests/v1"));
        times > 1 && asked.is("GET", "manifests/v1") && answer(client, "200 OK", "", &second).is_ok()
    });
    assert_eq!(fair.pull(":v1").unwrap().image, first);
    assert_eq!(fair.pulled(), fair.file(1));
}

#[test]
fn a_referrer_of_another_subject() {
    let fair = Fair::open();
    let identity = fair.bundle(1).identity();
    let image = fair.push(1, "v1", &[report(identity, &key())]).image;
    let other = fair.push(2, "v2", &[report(fair.bundle(2).identity(), &key())]).image;
    let index = |of| {
        let state = fair.fake.state.lock().unwrap();
        super::fake::referrers(&state, &format!("sha256:{of}")).to_string().into_bytes()
    };
    let others = index(other);
    fair.fake.instead(move |asked, client| {
        asked.is("GET", "referrers/") && answer(client, "200 OK", "", &others).is_ok()
    });
    let attached = fair.registry(":v1").reports(image, identity).unwrap();
    let [(_, error)] = &attached.refused[..] else { panic!("{attached:?}") };
    assert!(error.code() == "TM0860" && error.to_string().contains("refers to"), "{error}");
    assert!(attached.reports.is_empty());
    // One of this image, about another bundle.
    fair.fake.instead(|_, _| false);
    let attached = fair.registry(":v1").reports(image, sha256(b"other")).unwrap();
    assert_eq!((attached.reports.len(), attached.refused[0].1.code()), (0, "TM0835"));
    fair.fake
        .instead(|asked, client| asked.is("GET", "referrers/") && answer(client, "200 OK", "", b"[").is_ok());
    assert_eq!(fair.registry(":v1").reports(image, identity).unwrap_err().code(), "TM0860");
}

#[test]
fn a_wrong_referrer_takes_no_right_one_with_it() {
    let fair = Fair::open();
    let identity = fair.bundle(1).identity();
    let right = report(identity, &key());
    let image = fair.push(1, "v1", std::slice::from_ref(&right)).image;
    let mut listed = {
        let state = fair.fake.state.lock().unwrap();
        super::fake::referrers(&state, &format!("sha256:{image}"))
    };
    let wrong = |digest: &str| json!({ "mediaType": "x", "digest": digest, "size": 2, "artifactType": super::super::image::REPORT });
    let all = listed["manifests"].as_array_mut().unwrap();
    all.insert(0, wrong("md5:abc"));
    all.insert(1, wrong(&format!("sha256:{}", sha256(b"nowhere"))));
    let listed = listed.to_string().into_bytes();
    fair.fake.instead(move |asked, client| {
        asked.is("GET", "referrers/") && answer(client, "200 OK", "", &listed).is_ok()
    });
    let attached = fair.registry(":v1").reports(image, identity).unwrap();
    assert_eq!((attached.reports, attached.refused.len()), (vec![right], 2));
}

#[test]
fn redirects_elsewhere_are_not_followed() {
    let victim = Fake::start(true);
    let fair = Fair::with_release();
    for to in [
        format!("http://{}/x", victim.address),
        "file:///etc/passwd".into(),
        "ftp://a/b".into(),
        "http://169.254.169.254/latest".into(),
    ] {
        let headers = format!("Location: {to}\r\n");
        fair.fake.instead(move |asked, client| {
            asked.is("GET", "blobs/") && answer(client, "307 Temporary Redirect", &headers, b"").is_ok()
        });
        fair.refuses(":v1", "TM0801");
    }
    let headers = format!("Location: http://{}/x\r\n", victim.address);
    fair.fake.instead(move |asked, client| {
        asked.is("POST", "uploads") && answer(client, "202 Accepted", &headers, b"").is_ok()
    });
    let error = fair.registry(":v2").push(&fair.bundle(2), &[], &mut |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "TM0801", "no upload goes there: {error}");
    assert_eq!(victim.count(""), 0);
    let again = "Location: /v2/acme/tagger/manifests/v1\r\n";
    fair.fake.instead(move |asked, client| {
        asked.is("GET", "manifests/") && answer(client, "302 Found", again, b"").is_ok()
    });
    fair.refuses(":v1", "TM0801");
}

#[test]
fn a_blob_that_was_cut_off_goes_on() {
    let fair = Fair::with_release();
    let part = weights();
    let cut = move |asked: &super::fake::Asked, client: &mut std::net::TcpStream| {
        asked.is("GET", &part) && {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
            let _ = client.write_all(&[7; 100_000]);
            true
        }
    };
    fair.fake.instead(cut);
    fair.refuses(":v1", "TM0801");
    fair.fake.instead(|_, _| false);
    fair.pull(":v1").unwrap();
    assert_eq!(fair.fake.count("from 100000"), 1);
    assert_eq!(fair.pulled(), fair.file(1));
}

#[test]
fn a_registry_that_keeps_something_else() {
    let fair = Fair::open();
    fair.fake.instead(|asked, client| {
        let other = format!("Docker-Content-Digest: {}\r\n", digest(b"other"));
        asked.is("PUT", "manifests/") && answer(client, "201 Created", &other, b"").is_ok()
    });
    let error = fair.registry(":v1").push(&fair.bundle(1), &[], &mut |_, _| ()).unwrap_err();
    assert!(error.code() == "TM0801" && error.to_string().contains("it keeps"), "{error}");
}

/// Asks for a token of `realm`, which is this registry's where that is a path, and for a password there.
fn with_tokens(fair: &Fair, realm: &str, password: bool) -> Arc<AtomicUsize> {
    let realm = if realm.starts_with('/') {
        format!("http://{}{realm}", fair.fake.address)
    } else {
        realm.to_owned()
    };
    let basic = Credentials::new("me", "secret").header().to_lowercase();
    let (given, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    fair.fake.instead(move |asked, client| {
        let says = |what: &str| asked.head.contains(&format!("authorization: {what}\r\n"));
        if asked.path.starts_with("/token?service=it%20self&scope=repository%3Aacme%2Ftagger%3Apull") {
            assert!(!asked.head.contains("bearer"));
            if password && !says(&basic) {
                return answer(client, "401 Unauthorized", "", b"").is_ok();
            }
            let n = given.fetch_add(1, Ordering::SeqCst);
            let pushes = asked.path.contains("push");
            let token = format!("{{\"token\":\"t{n}{}\"}}", if pushes { "push" } else { "" });
            return answer(client, "200 OK", "", token.as_bytes()).is_ok();
        }
        let known = asked.head.contains("authorization: bearer t");
        let may = asked.method == "GET" || asked.method == "HEAD" || asked.head.contains("push\r\n");
        if known && may {
            counted.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        assert!(!says(&basic), "the password went to where it is not asked for");
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"it self\",scope=\"repository:victim:pull\"\r\n");
        answer(client, "401 Unauthorized", &challenge, b"").is_ok()
    });
    count
}

#[test]
fn tokens_are_for_anybody_or_for_a_password() {
    let me = || Access { credentials: Some(Credentials::new("me", "secret")), ..Access::default() };
    let fair = Fair::open();
    let count = with_tokens(&fair, "/token", true);
    let error = fair.registry(":v1").push(&fair.bundle(1), &[], &mut |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "TM0861");
    let registry = fair.registry_as(":v1", me());
    registry.push(&fair.bundle(1), &[], &mut |_, _| ()).unwrap();
    assert!(!format!("{registry:?}").contains("secret"));
    assert!(count.load(Ordering::SeqCst) > 5);
    fair.refuses(":v1", "TM0861");
    fair.pull_as(":v1", me()).unwrap();
    assert_eq!(fair.pulled(), fair.file(1));
    with_tokens(&fair, "/token", false);
    fair.pull(":v1").unwrap();
}

#[test]
fn a_password_is_not_lured_to_another_host() {
    let victim = Fake::start(true);
    let me = || Access { credentials: Some(Credentials::new("me", "secret")), ..Access::default() };
    let refused = |realm: &str, access: Access| {
        let fair = Fair::with_release();
        with_tokens(&fair, realm, true);
        let error = fair.pull_as(":v1", access).unwrap_err();
        assert_eq!(error.code(), "TM0861", "{realm}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    };
    let elsewhere = format!("http://{}/token", victim.address);
    for realm in [&elsewhere, "http://evil.example.org/token", "https://evil.invalid/token", "gopher://a"] {
        refused(realm, me());
    }
    // Nor is anybody sent to where only this machine could go.
    for realm in [&elsewhere, "http://169.254.169.254/latest"] {
        refused(realm, Access::default());
    }
    assert_eq!(victim.count(""), 0);
}

#[test]
fn a_registry_that_denies_is_told_from_one_that_has_nothing() {
    let fair = Fair::with_release();
    let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b[31mno\"}]}";
    fair.fake.instead(|_, client| answer(client, "403 Forbidden", "", body).is_ok());
    let said = fair.refuses(":v1", "TM0861");
    assert!(said.contains("HTTP status 403, \"DENIED\""), "{said}");
    for challenge in ["", "WWW-Authenticate: Negotiate\r\n", "WWW-Authenticate: Basic realm=\"x\"\r\n"] {
        fair.fake.instead(move |_, client| answer(client, "401 Unauthorized", challenge, b"").is_ok());
        fair.refuses(":v1", "TM0861");
    }
}
