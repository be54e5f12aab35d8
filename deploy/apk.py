#!/usr/bin/python3
"""Writes a package for apk-tools 3, the package manager of OpenWrt since 25.12.

    apk.py ROOT PACKAGE NAME=VALUE... [SCRIPT=@FILE...]

ROOT has the files, all owned by root. Each NAME is one of FIELDS, each SCRIPT one of SCRIPTS. The
package is not signed: `apk add --allow-untrusted`. SOURCE_DATE_EPOCH is the time of the files.

The format is described in apk-v3(5): a tree of values, each a 32-bit word that is the value itself or
its place in the file, followed by one block of data per file; all of it compressed.
"""

import hashlib
import os
import struct
import sys
import zlib

# The numbers of the fields in the package's metadata, in the scripts, and in the types of values.
FIELDS = {"name": 1, "version": 2, "description": 4, "arch": 5, "license": 6, "origin": 7,
          "maintainer": 8, "url": 9}
IDENTITY, BUILD_TIME, INSTALLED_SIZE = 3, 11, 12
SCRIPTS = {"pre-install": 2, "post-install": 3, "pre-deinstall": 4, "post-deinstall": 5,
           "pre-upgrade": 6, "post-upgrade": 7}
INT, INT_32, BLOB_8, BLOB_16, BLOB_32, ARRAY, OBJECT = (
    kind << 28 for kind in (0x1, 0x2, 0x8, 0x9, 0xA, 0xD, 0xE))
ADB_BLOCK, DATA_BLOCK = 0, 2


class Tree:
    """The values of a package; each method adds one and returns its word."""

    def __init__(self):
        self.data = bytearray(8)

    def _append(self, value, alignment):
        self.data += bytes(-len(self.data) % alignment)
        self.data += value
        return len(self.data) - len(value)

    def number(self, value):
        if value < 1 << 28:
            return INT | value
        return INT_32 | self._append(struct.pack("<I", value), 4)

    def blob(self, value):
        if not value:
            return 0
        for kind, code, size in ((BLOB_8, "<B", 1), (BLOB_16, "<H", 2), (BLOB_32, "<I", 4)):
            if len(value) < 1 << 8 * size:
                return kind | self._append(struct.pack(code, len(value)) + value, size)
        raise ValueError("more than 4 GiB")

    def text(self, value):
        return self.blob(value.encode())

    def slots(self, kind, words):
        while words and not words[-1]:
            words = words[:-1]
        if not words:
            return 0
        return kind | self._append(struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words), 4)

    def array(self, words):
        return self.slots(ARRAY, words)

    def object(self, fields):
        return self.slots(OBJECT, [fields.get(n, 0) for n in range(1, max(fields) + 1)])

    def acl(self, mode):
        return self.object({1: self.number(mode), 2: self.text("root"), 3: self.text("root")})


def block(kind, data):
    size = 4 + len(data)
    return struct.pack("<I", kind << 30 | size) + data + bytes(-size % 8)


def build(root, values, time):
    tree = Tree()
    directories, contents, installed_size = [], [], 0
    for path, names, files in os.walk(root):
        names.sort()
        relative = "" if path == root else os.path.relpath(path, root)
        directories.append((relative, path, sorted(files)))
    paths = []
    for relative, path, files in sorted(directories):
        entries = []
        for name in files:
            with open(os.path.join(path, name), "rb") as file:
                data = file.read()
                mode = os.fstat(file.fileno()).st_mode & 0o7777
            installed_size += len(data)
            if data:
                contents.append(struct.pack("<II", len(paths) + 1, len(entries) + 1) + data)
            entries.append(tree.object({
                1: tree.text(name), 2: tree.acl(mode), 3: tree.number(len(data)),
                4: tree.number(time), 5: tree.blob(hashlib.sha256(data).digest())}))
        paths.append(tree.object(
            {1: tree.text(relative), 2: tree.acl(0o755), 3: tree.array(entries)}))

    info = {FIELDS[name]: tree.text(value) for name, value in values.items() if name in FIELDS}
    info |= {BUILD_TIME: tree.number(time), INSTALLED_SIZE: tree.number(max(installed_size, 1))}
    # The identity is a hash of the tree with an identity of zeros.
    info[IDENTITY] = tree.blob(bytes(20))
    identity = slice(len(tree.data) - 20, len(tree.data))
    scripts = {SCRIPTS[name]: tree.text(value) for name, value in values.items() if name in SCRIPTS}
    package = {1: tree.object(info), 2: tree.array(paths)}
    if scripts:
        package[3] = tree.object(scripts)
    tree.data[4:8] = struct.pack("<I", tree.object(package))
    tree.data[identity] = hashlib.sha256(tree.data).digest()[:20]

    plain = b"ADB.pckg" + block(ADB_BLOCK, bytes(tree.data))
    plain += b"".join(block(DATA_BLOCK, data) for data in contents)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"ADBd" + compressor.compress(plain) + compressor.flush()


def main(root, package, *arguments):
    values = dict(argument.split("=", 1) for argument in arguments)
    unknown = values.keys() - FIELDS.keys() - SCRIPTS.keys()
    if unknown:
        sys.exit(f"apk.py: unknown field '{min(unknown)}', expected one of {[*FIELDS, *SCRIPTS]}")
    for name in values.keys() & SCRIPTS.keys():
        with open(values[name].removeprefix("@"), encoding="utf-8") as file:
            values[name] = file.read()
    data = build(root, values, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    with open(package, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
