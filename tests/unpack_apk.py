#!/usr/bin/python3
"""Unpacks a package for apk-tools 3, for machines without them.

    unpack_apk.py PACKAGE ROOT SCRIPTS

Checks all hashes, writes the files below ROOT and the scripts to SCRIPTS/NAME, and prints the metadata.
"""

import hashlib
import os
import struct
import sys
import zlib

INFO = ["name", "version", None, "description", "arch", "license", "origin", "maintainer"]
SCRIPTS = [None, "pre-install", "post-install", "pre-deinstall", None, "pre-upgrade", "post-upgrade"]


def main(package, root, scripts):
    with open(package, "rb") as file:
        data = file.read()
    assert data[:4] == b"ADBd", "not compressed by deflate"
    data = zlib.decompress(data[4:], -15)
    assert data[:8] == b"ADB.pckg", "not a package"
    blocks, at = [], 8
    while at < len(data):
        word, = struct.unpack_from("<I", data, at)
        size = word & 0x3FFFFFFF
        blocks.append((word >> 30, data[at + 4:at + size]))
        at += (size + 7) // 8 * 8
    assert blocks[0][0] == 0 and all(kind == 2 for kind, _ in blocks[1:]), "unexpected block"
    tree = blocks[0][1]

    def read(word):
        kind, value = word >> 28, word & 0xFFFFFFF
        if kind == 0:
            return None
        if kind == 1:
            return value
        if kind == 2:
            return struct.unpack_from("<I", tree, value)[0]
        if kind in (8, 9, 10):
            code, width = {8: ("<B", 1), 9: ("<H", 2), 10: ("<I", 4)}[kind]
            length, = struct.unpack_from(code, tree, value)
            return tree[value + width:value + width + length]
        count, = struct.unpack_from("<I", tree, value)
        return [read(slot) for slot in struct.unpack_from(f"<{count - 1}I", tree, value + 4)]

    info, paths, script_texts = read(struct.unpack_from("<I", tree, 4)[0])
    identity = info[2]
    blank = tree.replace(identity, bytes(len(identity)), 1)
    assert hashlib.sha256(blank).digest()[:20] == identity, "wrong identity"
    contents = {struct.unpack_from("<II", block): block[8:] for _, block in blocks[1:]}
    for number, directory in enumerate(paths, 1):
        folder = os.path.join(root, (directory[0] or b"").decode())
        os.makedirs(folder, exist_ok=True)
        for index, (name, acl, size, _, digest) in enumerate(
                directory[2] if len(directory) > 2 else [], 1):
            content = contents.pop((number, index), b"")
            assert len(content) == size and hashlib.sha256(content).digest() == digest, name
            assert acl[1:] == [b"root", b"root"], acl
            path = os.path.join(folder, name.decode())
            with open(path, "wb") as file:
                file.write(content)
            os.chmod(path, acl[0])
    assert not contents, "data without a file"
    for name, text in zip(SCRIPTS, script_texts):
        if text:
            with open(os.path.join(scripts, name), "wb") as file:
                file.write(text)
    for name, value in zip(INFO, info):
        if name:
            print(f"{name}: {value.decode()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
