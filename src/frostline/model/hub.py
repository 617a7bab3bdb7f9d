"""Pretrained weights from the hub that timm names: found in its cache, else downloaded."""

import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from frostline._timm import timm
from frostline.errors import ModelError

_FILE_NAMES = ("model.safetensors", "pytorch_model.bin")
"""What a repository of weights may call its file, in timm's order."""

_CONNECT_SECONDS = 5.0

_DOWNLOAD_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)),
)
"""What a download raises: HTTP errors are of whichever HTTP library the hub's client is built on."""


def cached_file(backbone: str) -> Path | None:
    """The weights of a timm backbone in the hub's cache (`HF_HOME`), or None; never uses the network."""
    pretrained = timm.models.get_pretrained_cfg(backbone)
    if pretrained is None or not pretrained.hf_hub_id:
        return None
    repository, revision = _repository(pretrained)
    for name in _file_names(pretrained):
        found = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def is_published(backbone: str) -> bool:
    """Whether timm knows a place to download this backbone's weights from."""
    pretrained = timm.models.get_pretrained_cfg(backbone)
    return pretrained is not None and bool(pretrained.has_weights)


def licence(backbone: str) -> str | None:
    """The licence of a timm backbone's weights as timm names it, or None where it names none."""
    pretrained = timm.models.get_pretrained_cfg(backbone)
    return None if pretrained is None else pretrained.license


def repository(backbone: str) -> str | None:
    """The hub's repository of a timm backbone's weights, or None where they lie elsewhere."""
    pretrained = timm.models.get_pretrained_cfg(backbone)
    return None if pretrained is None or not pretrained.hf_hub_id else _repository(pretrained)[0]


def fetch(backbone: str) -> Path:
    """The weights of a timm backbone from the cache, else downloaded into it; `HF_HUB_OFFLINE` is honoured.

    Raises `ModelError` whose message is the reason alone, for the caller to add what can be had instead.
    """
    cached = cached_file(backbone)
    if cached is not None:
        return cached
    pretrained = timm.models.get_pretrained_cfg(backbone)
    if pretrained is None or not pretrained.has_weights:
        raise ModelError("timm publishes none")
    if constants.HF_HUB_OFFLINE:
        raise ModelError("not in the hub's cache, and HF_HUB_OFFLINE is set")
    address = constants.ENDPOINT if pretrained.hf_hub_id else pretrained.url
    if not _reachable(address):
        raise ModelError(f"not in the hub's cache, and {urlsplit(address).hostname} cannot be reached")
    try:
        return _download(pretrained)
    except _DOWNLOAD_ERRORS as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ModelError(f"the download failed: {reason[:200]}") from error


def _download(pretrained: Any) -> Path:
    if not pretrained.hf_hub_id:
        return Path(timm.models._hub.download_cached_file(pretrained.url, progress=True))
    repository, revision = _repository(pretrained)
    *names, last = _file_names(pretrained)
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, last, revision=revision))


def _reachable(address: str) -> bool:
    """Whether a connection opens within seconds; the hub's client would retry for much longer before it says so.

    Behind a proxy this cannot be asked, and is taken to be so.
    """
    parts = urlsplit(address)
    if urllib.request.getproxies():
        return True
    try:
        socket.create_connection((parts.hostname, parts.port or 443), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _repository(pretrained: Any) -> tuple[str, str | None]:
    repository, _, revision = pretrained.hf_hub_id.partition("@")
    return repository, revision or None


def _file_names(pretrained: Any) -> tuple[str, ...]:
    return (pretrained.hf_hub_filename,) if pretrained.hf_hub_filename else _FILE_NAMES
