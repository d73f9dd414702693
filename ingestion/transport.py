"""How bytes reach the endpoint: TLS by configuration, and no plain HTTP beyond this machine unless told so."""

from __future__ import annotations

import ssl
import stat
from ipaddress import ip_address

from lakehouse.settings import SettingError, Settings


def check_transport(settings: Settings) -> bool:
    """Whether the endpoint speaks TLS. SettingError if the certificate is unusable, or write keys would travel open."""
    certificate, key = settings.ingest_tls_cert, settings.ingest_tls_key
    if certificate is None and key is None:
        if not _is_loopback(settings.ingest_host) and not settings.ingest_plain_http:
            raise SettingError(
                f"UNMOGROWP_INGEST_HOST is {settings.ingest_host}, where write keys would travel unencrypted: set "
                "UNMOGROWP_INGEST_TLS_CERT and UNMOGROWP_INGEST_TLS_KEY, or UNMOGROWP_INGEST_PLAIN_HTTP=true behind "
                "something that ends TLS."
            )
        return False
    if certificate is None or key is None:
        raise SettingError("UNMOGROWP_INGEST_TLS_CERT and UNMOGROWP_INGEST_TLS_KEY belong together: set both or none.")
    for name, file in (("CERT", certificate), ("KEY", key)):
        if not file.is_file():
            raise SettingError(f"UNMOGROWP_INGEST_TLS_{name} is wrong: there is no file {file}.")
    if stat.S_IMODE(key.stat().st_mode) & stat.S_IROTH:
        raise SettingError("UNMOGROWP_INGEST_TLS_KEY can be read by everybody: set its mode to 0600 or 0640.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            f"UNMOGROWP_INGEST_TLS_CERT and UNMOGROWP_INGEST_TLS_KEY do not work together: {error}."
        ) from None
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
