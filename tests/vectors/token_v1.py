"""Makes token_v1.json: tokens of format version 1, made by a second implementation.

    python3 -m pip install cryptography && python3 tests/vectors/token_v1.py > tests/vectors/token_v1.json

It follows src/codec/token.rs and shares no code with the crate.
"""

import base64
import json
import struct

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def mac(key, message):
    signer = hmac.HMAC(key, hashes.SHA256())
    signer.update(message)
    return signer.finalize()


def expand(prk, info, length):
    return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=info).derive(prk)


def framed(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def token(root, mode, audience, name, purpose, issued, created, ttl, token_id, payload, salt):
    prk = mac(b"silverback v1", root)  # HKDF-Extract
    kid = expand(prk, b"kid", 4)
    key = expand(prk, framed(b"silverback token", mode, audience, name, purpose), 32)
    stamp = issued.to_bytes(5, "big") + created.to_bytes(5, "big") + struct.pack(">I", ttl) + token_id
    if mode == b"sealed":
        head = b"\x11" + kid + salt
        message_key = expand(key, b"msg" + salt, 32)
        raw = head + AESGCM(message_key).encrypt(bytes(12), stamp + payload, head)
    else:
        message = b"\x21" + kid + stamp + payload
        raw = message + mac(key, message)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def cases():
    root = bytes(range(32))
    long_root = bytes(reversed(range(64)))
    for mode in (b"sealed", b"signed"):
        for purpose in (b"values", b"reference"):
            for key, audience, name, payload in (
                (root, b"", b"session", b""),
                (root, b"", b"__Host-session", b"payload"),
                (long_root, b"shop", b"a|b", bytes(range(256))),
            ):
                issued, created, ttl = 1_800_000_000, 1_799_999_000, 3_600
                token_id = bytes(range(100, 116)) if purpose == b"values" else b""
                salt = bytes(range(200, 224)) if mode == b"sealed" else b""
                yield {
                    "root": key.hex(),
                    "mode": mode.decode(),
                    "audience": audience.decode(),
                    "name": name.decode(),
                    "purpose": purpose.decode(),
                    "issued": issued,
                    "created": created,
                    "ttl": ttl,
                    "token_id": token_id.hex(),
                    "payload": payload.hex(),
                    "salt": salt.hex(),
                    "token": token(
                        key, mode, audience, name, purpose, issued, created, ttl, token_id, payload, salt
                    ),
                }


print(json.dumps(list(cases()), indent=1))
