"""What `frostline serve` can be told: where it listens, what it refuses, and how it joins requests."""

import re
from dataclasses import dataclass, field

from PIL import Image, features

from frostline.errors import ConfigError

MOST_TOP_K = 1_000
"""Classes that one answer may be asked for."""

_ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""What cameras, phones and browsers make. Pillow opens a phone's MPO by its reader of JPEG.

Left out on purpose: PostScript and WMF, which run programs, and the many rare formats whose readers few people test.
"""


@dataclass(frozen=True)
class Settings:
    """How a classifier is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes one that is free."""
    token: str | None = field(default=None, repr=False)
    """What a client must send as bearer token to have pictures classified; None: nothing."""
    max_body_bytes: int = 20 * 2**20
    """Size of a request's body."""
    max_pixels: int = 50_000_000
    """Width times height of a picture."""
    max_pictures: int = 32
    """In one request."""
    max_seconds: float = 30.0
    """From a request's first byte to the last of its answer."""
    max_requests: int = 64
    """In flight at a time."""
    batch_size: int = 16
    """Pictures of concurrent requests that are computed at once; 0 or 1 turns batching off."""
    batch_wait: float = 2.0
    """Milliseconds that a picture waits for others that are being decoded."""
    top_k: int = 5
    """Classes in an answer, where the client does not say."""

    def __post_init__(self) -> None:
        """Check the values. Raises `ConfigError`."""
        for name in ("max_body_bytes", "max_pixels", "max_pictures", "max_seconds", "max_requests", "top_k"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("batch_size", "batch_wait"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.top_k > MOST_TOP_K:
            raise ConfigError(f"top_k must be at most {MOST_TOP_K}, not {self.top_k}")
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port must be 0 to 65535, not {self.port}")
        if self.token is not None and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", self.token):
            raise ConfigError("the token may hold letters, digits and -._~+/ only, with = at its end (RFC 6750)")


def allowed_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are decoded: the allow-list, as far as this Pillow reads it."""
    Image.init()
    if not features.check("avif"):
        Image.OPEN.pop("AVIF", None)
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener()
    return tuple(name for name in _ALLOWED if name in Image.OPEN)
