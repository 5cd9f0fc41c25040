"""Tokens for a candidate's browser: a JWT (RFC 7519) that opens exactly one session, for minutes."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from pydantic import SecretStr

from tertulia.domain.access import KeyId
from tertulia.domain.ids import SessionId, TenantId

LIFETIME = timedelta(minutes=15)

_ALGORITHM = "HS256"
_AUDIENCE = "tertulia/session"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says: whoever shows it may talk in this session.

    Attributes:
        key_id: The key that it comes from, and ends with; None where nobody was asked for one.
    """

    tenant: TenantId
    session_id: SessionId
    key_id: KeyId | None


class SessionTokens:
    """Issues tokens and reads them; they are stored nowhere.

    Args:
        secret_key: As in `TERTULIA_SECRET_KEY`: one or more keys, 32 bytes in base64 each, with commas in between. The
            first one signs, all of them are known, so that a new one can be put in front. Without any, one is made up
            that no other process knows and that is forgotten with this one.
    """

    def __init__(self, secret_key: SecretStr | None) -> None:
        if secret_key is None:
            secrets_given = [secrets.token_bytes(_KEY_BYTES)]
        else:
            secrets_given = [base64.b64decode(key.strip()) for key in secret_key.get_secret_value().split(",")]
        keys = [_signing_key(secret) for secret in secrets_given]
        self._signing, self._known = keys[0], KeySet(list(keys))

    def issue(self, grant: Grant, now: datetime) -> str:
        """Write a token that counts for LIFETIME."""
        claims = {
            "aud": _AUDIENCE,
            "sub": grant.session_id,
            "tenant": grant.tenant,
            "key": grant.key_id,
            "exp": int((now + LIFETIME).timestamp()),
        }
        return jwt.encode({"alg": _ALGORITHM, "kid": self._signing.kid}, claims, self._signing)

    def read(self, token: str, now: datetime) -> Grant | None:
        """Return what a token says; None where it is none of ours, or its time is over."""
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=0,
            aud={"essential": True, "value": _AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            claims = jwt.decode(token, self._known, algorithms=[_ALGORITHM]).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, LookupError, AttributeError):
            # A header of another shape than the library expects is none of ours either.
            return None
        key_id = claims.get("key")
        return Grant(TenantId(claims["tenant"]), SessionId(claims["sub"]), key_id and KeyId(key_id))


def _signing_key(secret: bytes) -> OctKey:
    """Derive a key for this purpose alone, so that what is signed tells nothing of what is sealed (RFC 5869)."""
    derived = HKDF(SHA256(), length=_KEY_BYTES, salt=None, info=_AUDIENCE.encode()).derive(secret)
    return OctKey.import_key(derived, {"kid": hashlib.sha256(derived).hexdigest()[:8], "use": "sig"})
