"""python-tuf as a stranger: a client of stores that Tilemark wrote, and the writer of one that Tilemark reads.

    tuf_peer.py client            # reads one JSON object a line: {"store": folder, "root": file, "target": path}; answers each
    tuf_peer.py repository DIR    # writes a store with delegations, hashed bins and a rotated root
"""

import hashlib
import json
import os
import sys
import tempfile
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError, RepositoryError, DownloadError
from tuf.api.metadata import (
    DelegatedRole, Delegations, Key, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp,
)
from tuf.ngclient import FetcherInterface, Updater


class Folder(FetcherInterface):
    """Reads addresses of the form store:/path below a folder."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = os.path.join(self.folder, url.removeprefix("store:/"))
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise DownloadHTTPError(str(error), 404) from error
        yield data


def download(request):
    """What python-tuf makes of a store: the SHA-256 of the target, or why not."""
    with tempfile.TemporaryDirectory() as state, open(request["root"], "rb") as root:
        updater = Updater(
            metadata_dir=os.path.join(state, "metadata"),
            metadata_base_url="store:/metadata/",
            target_dir=state,
            target_base_url="store:/targets/",
            fetcher=Folder(request["store"]),
            bootstrap=root.read(),
        )
        try:
            updater.refresh()
            info = updater.get_targetinfo(request["target"])
            if info is None:
                return {"refused": "no such target"}
            with open(updater.download_target(info), "rb") as file:
                return {"accepted": hashlib.sha256(file.read()).hexdigest()}
        except (RepositoryError, DownloadError, ValueError) as error:
            return {"refused": f"{type(error).__name__}: {error}"}


def client():
    for line in sys.stdin:
        print(json.dumps(download(json.loads(line))), flush=True)


def write(folder, name, metadata):
    metadata.to_file(os.path.join(folder, "metadata", name))


def sign(signed, signers):
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata


def target(folder, path, data):
    """A file of the store with consistent snapshots, and what its metadata says of it."""
    info = TargetFile.from_data(path, data)
    for prefixed in info.get_prefixed_paths():
        file = os.path.join(folder, "targets", prefixed)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as out:
            out.write(data)
    return info


def repository(folder):
    os.makedirs(os.path.join(folder, "metadata"))
    expires = (datetime.now(timezone.utc) + timedelta(days=30)).replace(microsecond=0)
    keys = {name: CryptoSigner.generate_ed25519() for name in
            ["root1", "root2", "root3", "targets", "online", "acme", "bin"]}

    root = Root(expires=expires, consistent_snapshot=True)
    for name, role in [("root1", "root"), ("root2", "root"), ("targets", "targets"), ("online", "snapshot"),
                       ("online", "timestamp")]:
        root.add_key(keys[name].public_key, role)
    root.roles["root"].threshold = 2
    write(folder, "1.root.json", sign(root, [keys["root1"], keys["root2"]]))
    # The second root's key goes, a third one comes.
    root.version = 2
    root.revoke_key(keys["root2"].public_key.keyid, "root")
    root.add_key(keys["root3"].public_key, "root")
    write(folder, "2.root.json", sign(root, [keys["root1"], keys["root2"], keys["root3"]]))

    acme = Targets(expires=expires)
    acme.targets["acme/tool/1.bin"] = target(folder, "acme/tool/1.bin", b"acme's tool\n")
    names = {"p.acme": acme}
    delegations = Delegations({}, {
        "p.acme": DelegatedRole("p.acme", [], 1, True, paths=["acme/*/*"]),
    })
    targets = Targets(expires=expires, delegations=delegations)
    targets.add_key(keys["acme"].public_key, "p.acme")
    for bin in range(4):
        prefixes = [f"{4 * bin + digit:x}" for digit in range(4)]
        name = f"bin {bin}/é"
        delegations.roles[name] = DelegatedRole(name, [], 1, False, path_hash_prefixes=prefixes)
        targets.add_key(keys["bin"].public_key, name)
        names[name] = Targets(expires=expires)
    for number in range(8):
        path, data = f"file-{number}.txt", f"number {number}\n".encode()
        digit = hashlib.sha256(path.encode()).hexdigest()[0]
        names[f"bin {int(digit, 16) // 4}/é"].targets[path] = target(folder, path, data)
    targets.targets["top.txt"] = target(folder, "top.txt", b"top\n")

    snapshot = Snapshot(expires=expires)
    for name, signed in names.items():
        from urllib.parse import quote
        write(folder, f"1.{quote(name, '')}.json", sign(signed, [keys["acme" if name == "p.acme" else "bin"]]))
        snapshot.meta[f"{name}.json"] = MetaFile(1)
    write(folder, "1.targets.json", sign(targets, [keys["targets"]]))
    data = sign(snapshot, [keys["online"]]).to_bytes()
    with open(os.path.join(folder, "metadata", "1.snapshot.json"), "wb") as file:
        file.write(data)
    timestamp = Timestamp(expires=expires, snapshot_meta=MetaFile.from_data(1, data, ["sha256"]))
    write(folder, "timestamp.json", sign(timestamp, [keys["online"]]))


if __name__ == "__main__":
    client() if sys.argv[1] == "client" else repository(sys.argv[2])
