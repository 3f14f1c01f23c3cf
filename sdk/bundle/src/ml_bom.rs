//! A bundle's bill of materials for tools of others: CycloneDX 1.6 in JSON, with the model, what it was made from, and the licences of
//! all of it. It says what the signed manifest says; it is no signed document itself.

use serde_json::{Map, Value, json};

use crate::{
    Ancestor, AncestorKind, Digest, Manifest, Origin, OriginKind, Result, json as strict, sdk_version,
};

/// The blobs that are weights: `weights`, and of an app of several models `weights/NAME`.
const WEIGHTS: &str = "weights";

/// Writes the bill of materials of a bundle. The same bundle gives the same bytes.
///
/// # Errors
/// None for a manifest that was read.
pub fn write(manifest: &Manifest, identity: Digest) -> Result<Vec<u8>> {
    let ancestors = manifest.origin.as_ref().map_or(&[][..], |origin| &origin.derived_from);
    let models: Vec<Value> = models(manifest, ancestors);
    let parts: Vec<Value> =
        ancestors.iter().filter(|found| found.kind != AncestorKind::Model).map(component).collect();
    let data = manifest.origin.as_ref().and_then(training_data);
    let reference = format!("urn:sha256:{identity}");
    let components: Vec<Value> = models.iter().chain(&parts).chain(&data).cloned().collect();
    let refs = |values: &[Value]| values.iter().map(|value| value["bom-ref"].clone()).collect::<Vec<_>>();
    let mut dependencies = vec![json!({ "ref": reference, "dependsOn": refs(&components) })];
    let trained_with: Vec<Value> =
        components.iter().filter(|component| component["type"] == "data").cloned().collect();
    dependencies.extend(
        refs(&models).into_iter().map(|model| json!({ "ref": model, "dependsOn": refs(&trained_with) })),
    );
    let bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(identity)),
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "tilemark", "version": sdk_version().to_string() }] },
            "component": app(manifest, identity, &reference),
        },
        "components": components,
        "dependencies": dependencies,
    });
    strict::to_vec(&bom)
}

/// The bundle as a whole.
fn app(manifest: &Manifest, identity: Digest, reference: &str) -> Value {
    let app = &manifest.app;
    let kind = match manifest.origin.as_ref().map(|origin| origin.kind) {
        Some(OriginKind::Model) => "machine-learning-model",
        Some(OriginKind::Component) => "library",
        Some(OriginKind::Application) | None => "application",
    };
    json!({
        "type": kind,
        "bom-ref": reference,
        "group": app.name.publisher(),
        "name": app.name.name(),
        "version": app.version.to_string(),
        "description": app.description,
        "licenses": [{ "expression": app.license }],
        "hashes": [hash(identity)],
        "properties": [
            { "name": "tilemark:release", "value": app.release.to_string() },
            { "name": "tilemark:terms", "value": manifest.terms.kind },
            { "name": "tilemark:targets", "value": manifest.targets.join(" ") },
        ],
    })
}

/// The models of the bundle, made from what the origin says.
fn models(manifest: &Manifest, ancestors: &[Ancestor]) -> Vec<Value> {
    let origin = manifest.origin.as_ref();
    let is_weights =
        |name: &str| name.strip_prefix(WEIGHTS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let pedigree: Vec<Value> =
        ancestors.iter().filter(|found| found.kind == AncestorKind::Model).map(component).collect();
    let datasets: Vec<Value> = ancestors
        .iter()
        .filter(|found| found.kind == AncestorKind::Data)
        .map(|found| json!({ "ref": reference(found) }))
        .chain(origin.and_then(training_data).map(|data| json!({ "ref": data["bom-ref"] })))
        .collect();
    let model = |blob: &crate::BlobEntry| {
        let name = blob.name.strip_prefix("weights/").unwrap_or(manifest.app.name.name());
        let mut model = json!({
            "type": "machine-learning-model",
            "bom-ref": format!("model:{}", blob.name),
            "name": name,
            "version": manifest.app.version.to_string(),
            "hashes": [hash(blob.plain.map_or(blob.sha256, |plain| plain.sha256))],
        });
        license(&mut model, origin.and_then(|origin| origin.weights.as_deref()));
        if !pedigree.is_empty() {
            // The same one may be the ancestor of several models: each mention has a reference of its own.
            let mut own = pedigree.clone();
            for ancestor in &mut own {
                prefix_refs(ancestor, &format!("{}:", blob.name));
            }
            model["pedigree"] = json!({ "ancestors": own });
        }
        if !datasets.is_empty() {
            model["modelCard"] = json!({ "modelParameters": { "datasets": datasets } });
        }
        model
    };
    manifest.blobs.iter().filter(|blob| is_weights(&blob.name)).map(model).collect()
}

/// What the weights were trained with, as far as a licence is stated.
fn training_data(origin: &Origin) -> Option<Value> {
    let mut data = json!({ "type": "data", "bom-ref": "data:training", "name": "training data" });
    license(&mut data, Some(origin.data.as_deref()?));
    Some(data)
}

fn component(ancestor: &Ancestor) -> Value {
    let kind = match ancestor.kind {
        AncestorKind::Model => "machine-learning-model",
        AncestorKind::Data => "data",
        AncestorKind::Code => "library",
    };
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(ancestor),
        "name": ancestor.name,
        "hashes": [hash(ancestor.sha256)],
    });
    let licenses = ancestor.licenses();
    license(
        &mut component,
        match ancestor.kind {
            AncestorKind::Model => licenses.weights,
            AncestorKind::Data => licenses.data,
            AncestorKind::Code => licenses.code,
        },
    );
    // What else is stated of it, each part as a component of its own.
    let first = ancestor.kind.parts().first();
    let others = licenses.stated().filter(|(part, _)| Some(part) != first).map(|(part, text)| {
        let (kind, name) = match part {
            crate::Part::Code => ("library", "code"),
            crate::Part::Weights => ("machine-learning-model", "weights"),
            crate::Part::Data => ("data", "training data"),
        };
        let mut other = json!({ "type": kind, "bom-ref": format!("{}:{}", reference(ancestor), part.as_str()), "name": name });
        license(&mut other, Some(text));
        other
    });
    let others: Vec<Value> = others.collect();
    if !others.is_empty() {
        component["components"] = others.into();
    }
    component
}

fn reference(ancestor: &Ancestor) -> String {
    format!("urn:sha256:{}", ancestor.sha256)
}

fn prefix_refs(component: &mut Value, prefix: &str) {
    if let Some(Value::String(own)) = component.get_mut("bom-ref") {
        own.insert_str(0, prefix);
    }
    if let Some(Value::Array(inner)) = component.get_mut("components") {
        inner.iter_mut().for_each(|inner| prefix_refs(inner, prefix));
    }
}

/// Nothing where nothing is stated: that is how CycloneDX says that it is not known.
fn license(component: &mut Value, license: Option<&str>) {
    if let (Some(license), Value::Object(fields)) = (license, component) {
        let fields: &mut Map<String, Value> = fields;
        fields.insert("licenses".to_owned(), json!([{ "expression": license }]));
    }
}

fn hash(digest: Digest) -> Value {
    json!({ "alg": "SHA-256", "content": digest.to_string() })
}

/// A UUID of version 8 (RFC 9562), whose bits are the beginning of a digest.
fn uuid(digest: Digest) -> String {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(byte, from)| *byte = *from);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Algorithm, AppIdentity, BundleWriter, PartLicenses, SigningKey, Trust, Untrusted, sha256};

    /// The bill of an app of two models, made from a model, data and code.
    fn bom(origin: Option<Origin>) -> Value {
        let app =
            AppIdentity::new("acme/tagger", "1.2.0", 7, "LicenseRef-acme-eula", "Names things").unwrap();
        let mut writer = BundleWriter::new(app);
        for name in ["graph", "weights/first", "weights/second", "weightless"] {
            writer = writer.blob(name, name.as_bytes());
        }
        let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let writer = origin.into_iter().fold(writer, BundleWriter::origin);
        let file = writer.sign(&[&key]).unwrap();
        let bundle = Untrusted::from_bytes(file).unwrap().verify(&Trust::key(key.public().clone())).unwrap();
        let bytes = write(bundle.manifest(), bundle.identity()).unwrap();
        assert_eq!(bytes, write(bundle.manifest(), bundle.identity()).unwrap());
        serde_json::from_slice(&bytes).unwrap()
    }

    fn origin() -> Origin {
        let licenses = PartLicenses { code: Some("MIT"), weights: Some("Apache-2.0"), data: None };
        let ancestor =
            |name: &str, kind, licenses| Ancestor::new(name, kind, sha256(name.as_bytes()), licenses);
        let net = PartLicenses { weights: Some("Apache-2.0"), data: Some("CC-BY-4.0"), code: None };
        let data = PartLicenses { data: Some("CC0-1.0"), ..PartLicenses::default() };
        Origin::new(OriginKind::Application, licenses)
            .from(ancestor("net", AncestorKind::Model, net))
            .from(ancestor("photos", AncestorKind::Data, data))
            .from(ancestor("resizer", AncestorKind::Code, PartLicenses::default()))
    }

    #[test]
    fn models_have_licences_hashes_and_ancestors() {
        let bom = bom(Some(origin()));
        let models: Vec<&Value> = bom["components"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["type"] == "machine-learning-model")
            .collect();
        assert_eq!(models.len(), 2);
        assert_eq!(models[1]["name"], "second");
        assert_eq!(models[1]["hashes"][0]["content"], sha256(b"weights/second").to_string());
        assert_eq!(models[1]["licenses"], json!([{ "expression": "Apache-2.0" }]));
        let ancestor = &models[1]["pedigree"]["ancestors"][0];
        assert_eq!(
            (&ancestor["name"], &ancestor["licenses"][0]["expression"]),
            (&json!("net"), &json!("Apache-2.0"))
        );
        assert_eq!(ancestor["components"][0]["licenses"][0]["expression"], "CC-BY-4.0");
        let photos = format!("urn:sha256:{}", sha256(b"photos"));
        assert_eq!(models[0]["modelCard"]["modelParameters"]["datasets"], json!([{ "ref": photos }]));
        assert_eq!(bom["metadata"]["component"]["group"], "acme");
    }

    #[test]
    fn references_are_unique_and_lead_somewhere() {
        let bom = bom(Some(origin()));
        let (mut refs, mut count) = (BTreeSet::new(), 0);
        let mut to_visit = vec![&bom];
        while let Some(value) = to_visit.pop() {
            if let Some(found) = value.get("bom-ref") {
                refs.insert(found.as_str().unwrap());
                count += 1;
            }
            match value {
                Value::Object(fields) => to_visit.extend(fields.values()),
                Value::Array(items) => to_visit.extend(items),
                _ => {}
            }
        }
        assert_eq!(refs.len(), count);
        for dependency in bom["dependencies"].as_array().unwrap() {
            let on = dependency["dependsOn"].as_array().unwrap().iter().chain([&dependency["ref"]]);
            assert!(on.into_iter().all(|found| refs.contains(found.as_str().unwrap())), "{dependency}");
        }
    }

    #[test]
    fn of_an_unknown_origin_no_licence_is_made_up() {
        let bom = bom(None);
        for component in bom["components"].as_array().unwrap() {
            assert!(
                component.get("licenses").is_none() && component.get("pedigree").is_none(),
                "{component}"
            );
        }
        let resizer = component(&origin().derived_from[2]);
        assert!(resizer.get("licenses").is_none());
    }

    #[test]
    fn the_serial_number_is_a_uuid_of_version_8() {
        let text = uuid(sha256(b"bundle"));
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert!(text[14..].starts_with('8') && "89ab".contains(&text[19..20]), "{text}");
    }
}
