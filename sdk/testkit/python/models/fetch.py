"""Pinned packages, downloaded by their ordinary clients and read without being installed."""

import fcntl
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

PINS = tomllib.loads((Path(__file__).parent / "pins.toml").read_text())
# One wheel for every machine: its code is not run, only its data read.
WHEEL_FOR = ["--only-binary=:all:", "--implementation", "cp", "--python-version", "311"]
for _glibc in ("2_28", "2_27", "2_17"):
    WHEEL_FOR += ["--platform", f"manylinux_{_glibc}_x86_64"]


class Failed(Exception):
    """Something outside is missing or not what was pinned; the message says what to do."""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _command(source, folder):
    package, version = source["package"], source["version"]
    match source["client"]:
        case "pip":
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
            return [*pip, *WHEEL_FOR, "--dest", str(folder), f"{package}=={version}"]
        case "npm":
            return ["npm", "pack", "--silent", f"{package}@{version}"]
        case "apt":
            return ["apt-get", "-qq", "download", f"{package}={version}"]


class Packages:
    """The archives under one folder; each is downloaded when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.downloaded = 0

    def archive(self, name):
        """The verified archive of a source."""
        source = PINS["source"][name]
        path = self.folder / source["archive"]
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f".{path.name}.lock", "w") as lock:  # several processes make models
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():
                self._download(name, source, path)
            found = sha256(path)
            if found != source["sha256"]:
                path.unlink()
        if found != source["sha256"]:
            raise Failed(f"{path.name} has SHA-256 {found}, expected {source['sha256']}: not the file that was pinned. "
                         "It was removed; run again, and do not change the pin without knowing why it differs")
        return path

    def _download(self, name, source, path):
        command = _command(source, self.folder)
        if shutil.which(command[0]) is None:
            raise Failed(f"{name} comes from {source['client']}, and there is no {command[0]} here: install it")
        print(f"   fetching {source['package']} {source['version']} ({source['client']})", flush=True)
        # apt drops its rights and then cannot write here, which it reports and survives: only its failure is shown.
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or not path.is_file():
            raise Failed(f"{' '.join(command)} made no {path.name}: {done.stdout.strip()[-600:]}")
        self.downloaded += path.stat().st_size

    def read(self, name, member):
        """The bytes of one file of a source's archive."""
        path = self.archive(name)
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as archive:
                return archive.read(member)
        if path.suffix == ".deb":
            return _debian_member(path, member)
        with tarfile.open(path) as archive:
            return archive.extractfile(member).read()


def _debian_member(path, member):
    """A .deb is an `ar` archive: 60-byte headers, members padded to even length; the files lie in its data.tar.xz."""
    data = path.read_bytes()
    at = 8
    while at < len(data):
        name = data[at:at + 16].decode().strip().rstrip("/")
        size = int(data[at + 48:at + 58])
        body = data[at + 60:at + 60 + size]
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(body)) as archive:
                return archive.extractfile("./" + member).read()
        at += 60 + size + size % 2
    raise Failed(f"{path.name} holds no data.tar")
