"""The record contract: every field a sender may give, every column bronze keeps, in one place.

The validator, the OpenAPI page, the bronze schemas and the dbt sources are derived from the
declarations here or tested against them. Nothing here reads or writes; parsing and rules about values live in
`ingestion`, storage in `lakehouse.lake`.

Clocks are aware UTC instants with microseconds. Money arrives as a decimal number and is kept as int64 micros
(1 unit = 1,000,000 micros) beside its ISO 4217 currency. A zero or blank id is null.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa

from lakehouse.service_tables import SERVICE_SCHEMAS

SCHEMA_VERSION: Final = 1


class Kind(StrEnum):
    """What a field is on the wire, and so which column it becomes."""

    TEXT = "text"  # free text, kept as sent
    ID = "id"  # opaque id: trimmed; blank or all zeros is null
    DEVICE_ID = "device_id"  # ad and vendor ids: as ID, and lower case
    CODE = "code"  # short code from an open list (country, locale): kept as sent, trimmed
    ENUM = "enum"  # one of `Field.choices`
    INSTANT = "instant"  # ISO 8601 with an offset
    DATE = "date"  # ISO 8601 calendar date
    MONEY = "money"  # decimal number; column `<name>_micros`, int64
    INTEGER = "integer"  # int64
    BOOLEAN = "boolean"
    JSON = "json"  # object, kept as JSON text


class Origin(StrEnum):
    """Who gives the value."""

    SENDER = "sender"
    SERVER = "server"  # set at receipt; refused when a sender gives it
    ROUTE = "route"  # set by the route that took the record (link, postback), null elsewhere; refused like SERVER


RECORD_TYPES: Final = (
    "click",
    "impression",
    "srn_claim",
    "install",
    "session",
    "event",
    "ad_revenue",
    "uninstall",
    "consent",
    "cost",
    "skan_postback",
)

_TOUCH = frozenset({"click", "impression", "srn_claim"})
_APP = frozenset({"install", "session", "event", "ad_revenue", "uninstall"})
_COST = frozenset({"cost"})
_SKAN = frozenset({"skan_postback"})
_CONSENT = frozenset({"consent"})
_DEVICE = _TOUCH | _APP | _CONSENT  # records that come from, or name, one device
_ALL = frozenset(RECORD_TYPES)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the contract.

    `types` are the record types that may carry it; `required` those that must. `max_length` bounds text in characters.
    """

    name: str
    kind: Kind
    doc: str
    types: frozenset[str] = _ALL
    required: frozenset[str] = frozenset()
    origin: Origin = Origin.SENDER
    choices: tuple[str, ...] = ()
    max_length: int = 256

    @property
    def column(self) -> str:
        """Name of the bronze column; money says its unit."""
        return f"{self.name}_micros" if self.kind is Kind.MONEY else self.name

    @property
    def arrow_type(self) -> pa.DataType:
        """Arrow type of the bronze column."""
        return _ARROW_TYPES[self.kind]


_ARROW_TYPES: Final[dict[Kind, pa.DataType]] = {
    Kind.TEXT: pa.string(),
    Kind.ID: pa.string(),
    Kind.DEVICE_ID: pa.string(),
    Kind.CODE: pa.string(),
    Kind.ENUM: pa.string(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.DATE: pa.date32(),
    Kind.MONEY: pa.int64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.JSON: pa.string(),
}

_T, _I, _D, _C, _E = Kind.TEXT, Kind.ID, Kind.DEVICE_ID, Kind.CODE, Kind.ENUM
_S = Origin.SERVER

PLATFORMS: Final = ("ios", "android", "web", "other")
# `claims`: what another measurement says happened, kept to be compared and counted nowhere.
ENVIRONMENTS: Final = ("production", "sandbox", "claims")
SOURCES: Final = ("sdk", "s2s", "segment", "link", "partner", "import")

FIELDS: Final[tuple[Field, ...]] = (
    # Envelope
    Field("app_id", _I, "App the record belongs to; must be one the write key may write to", required=_ALL),
    Field("record_id", _I, "Sender's id of the record; (app_id, record_id) is counted once", required=_ALL),
    Field("record_type", _E, "Which kind of record this is", required=_ALL, choices=RECORD_TYPES),
    Field("platform", _E, "Platform of the device", choices=PLATFORMS),
    Field(
        "environment",
        _E,
        "Sandbox traffic and claims of others are kept apart; production when absent",
        choices=ENVIRONMENTS,
    ),
    Field("event_at", Kind.INSTANT, "When it happened, by the sender's clock; received_at when absent"),
    Field("sent_at", Kind.INSTANT, "When the sender sent it, by the sender's clock; shows clock skew"),
    Field("received_at", Kind.INSTANT, "When the endpoint had the record, our clock", origin=_S),
    Field("ingest_date", Kind.DATE, "UTC date of received_at; partition of bronze", origin=_S),
    Field("event_date", Kind.DATE, "UTC date of event_at; partition of silver", origin=_S),
    Field("is_event_at_missing", Kind.BOOLEAN, "event_at was absent and is received_at", origin=_S),
    Field("source", _E, "Way the record came in", origin=_S, choices=SOURCES),
    Field("payload_hash", _T, "Hash of the record as sent; breaks ties between copies", origin=_S),
    Field("request_id", _I, "Request (or import) that brought the record", origin=_S),
    Field("properties", Kind.JSON, "Everything else the sender gave, unknown fields included", max_length=65_536),
    # Identity of device and person
    Field(
        "install_id",
        _I,
        "Id the app made at its first open",
        types=_DEVICE | _SKAN,
        required=frozenset({"install", "session", "uninstall"}),
    ),
    Field("user_id", _I, "The publisher's own user id", types=_DEVICE),
    Field("idfa", _D, "Apple advertising id", types=_DEVICE),
    Field("gaid", _D, "Google advertising id", types=_DEVICE),
    Field("oaid", _D, "Open anonymous device id (Android outside Google Play)", types=_DEVICE),
    Field("idfv", _D, "Apple vendor id", types=_DEVICE),
    Field("app_set_id", _D, "Google app set id", types=_DEVICE),
    Field("android_id", _D, "Android id", types=_DEVICE),
    Field("click_id", _I, "Join key between a touch and an install; not the record's id", types=_DEVICE),
    # The device, as far as rules may know it
    Field("ip", _I, "Device address if a server sends for the device; kept in bronze_network only", types=_DEVICE),
    Field("user_agent", _T, "Device user agent; kept in bronze_network only", types=_DEVICE, max_length=2_048),
    Field("ip_prefix", _T, "/24 (IPv4) or /48 (IPv6) of the device address", types=_DEVICE, origin=_S),
    Field("ip_hash", _T, "Keyed hash of the device address", types=_DEVICE, origin=_S),
    Field("os_name", _C, "Operating system, parsed from the user agent when absent", types=_DEVICE),
    Field("os_version", _C, "Operating system version", types=_DEVICE),
    Field("device_model", _T, "Device model", types=_DEVICE),
    Field("locale", _C, "Language and region of the device, as BCP 47", types=_DEVICE),
    Field("country", _C, "ISO 3166-1 alpha-2 country", types=_DEVICE | _COST | _SKAN, max_length=2),
    Field("time_zone", _C, "IANA time zone of the device or of the cost report", types=_DEVICE | _COST, max_length=64),
    Field("app_version", _C, "Version of the app", types=_APP | _CONSENT | _SKAN),
    # Marketing: who showed what
    Field(
        "partner",
        _C,
        "Ad network or media source, lower case",
        types=_TOUCH | _COST | _SKAN,
        required=_TOUCH | _COST,
    ),
    Field("channel", _C, "Channel inside the partner", types=_TOUCH | _COST),
    Field("agency", _C, "Agency that runs the campaign", types=_TOUCH | _COST),
    Field("campaign_id", _I, "Campaign id of the partner", types=_TOUCH | _COST | _SKAN),
    Field("campaign_name", _T, "Campaign name at that time", types=_TOUCH | _COST),
    Field("adset_id", _I, "Ad set or ad group id", types=_TOUCH | _COST),
    Field("adset_name", _T, "Ad set or ad group name", types=_TOUCH | _COST),
    Field("creative_id", _I, "Ad or creative id", types=_TOUCH | _COST),
    Field("creative_name", _T, "Ad or creative name", types=_TOUCH | _COST),
    Field("site_id", _I, "Publisher site or app that showed the ad", types=_TOUCH | _COST),
    Field("sub_site_id", _I, "Sub-publisher", types=_TOUCH),
    Field("keyword", _T, "Search keyword", types=_TOUCH),
    Field("is_retargeting", Kind.BOOLEAN, "The campaign is aimed at existing users", types=_TOUCH),
    Field("cost_model", _C, "cpc, cpm, cpi, ...", types=_TOUCH | _COST),
    Field(
        "cost",
        Kind.MONEY,
        "Cost of this touch, or spend of this cost row, in `currency`",
        types=_TOUCH | _COST,
        required=_COST,
    ),
    Field(
        "is_signature_valid",
        Kind.BOOLEAN,
        "Signed link checked; null when the link is not signed",
        types=_TOUCH,
        origin=Origin.ROUTE,
    ),
    Field("deeplink_url", _T, "Deep link passed on", types=_TOUCH, max_length=2_048),
    Field("raw_url", _T, "Link as it was hit", types=_TOUCH, max_length=4_096, origin=Origin.ROUTE),
    # Install
    Field("download_at", Kind.INSTANT, "Store download time", types=frozenset({"install"})),
    Field("referrer", _T, "Play install referrer, raw", types=frozenset({"install"}), max_length=2_048),
    Field("referrer_click_at", Kind.INSTANT, "Referrer click, device clock", types=frozenset({"install"})),
    Field("referrer_click_server_at", Kind.INSTANT, "Referrer click, Play server clock", types=frozenset({"install"})),
    Field("install_begin_at", Kind.INSTANT, "Download began, device clock", types=frozenset({"install"})),
    Field("install_begin_server_at", Kind.INSTANT, "Download began, Play server clock", types=frozenset({"install"})),
    Field("is_instant", Kind.BOOLEAN, "Google Play instant", types=frozenset({"install"})),
    Field("store", _C, "Store the app came from", types=frozenset({"install"})),
    Field(
        "att_status",
        _E,
        "App Tracking Transparency status",
        types=_APP | _CONSENT,
        choices=("not_determined", "restricted", "denied", "authorized"),
    ),
    Field("is_limit_ad_tracking", Kind.BOOLEAN, "Limit ad tracking is on", types=_DEVICE),
    Field("integrity_verdict", _C, "Play Integrity or App Attest verdict", types=_APP),
    # Events and money
    Field("event_name", _T, "Name of the in-app event", types=_APP, required=frozenset({"event"})),
    Field("session_id", _I, "Session the record belongs to", types=_APP),
    Field("session_length_s", Kind.INTEGER, "Length of the session in seconds", types=frozenset({"session"})),
    Field(
        "revenue",
        Kind.MONEY,
        "Revenue in `currency`; negative for refunds",
        types=frozenset({"event", "ad_revenue"}),
        required=frozenset({"ad_revenue"}),
    ),
    Field(
        "currency",
        _C,
        "ISO 4217 code; required with any amount",
        max_length=3,
        types=_TOUCH | _COST | frozenset({"event", "ad_revenue"}),
    ),
    Field("quantity", Kind.INTEGER, "Items bought", types=frozenset({"event"})),
    Field("product_id", _I, "Product bought", types=frozenset({"event"})),
    Field("order_id", _I, "Store order or transaction", types=frozenset({"event"})),
    Field("original_order_id", _I, "First transaction of a subscription", types=frozenset({"event"})),
    Field(
        "receipt_state",
        _E,
        "Result of receipt validation",
        types=frozenset({"event"}),
        choices=("none", "valid", "invalid", "refunded"),
    ),
    Field("mediation", _C, "Mediation platform", types=frozenset({"ad_revenue"})),
    Field("ad_network", _C, "Network that paid", types=frozenset({"ad_revenue"})),
    Field("ad_unit", _I, "Ad unit", types=frozenset({"ad_revenue"})),
    Field("placement", _C, "Placement in the app", types=frozenset({"ad_revenue"})),
    Field("ad_type", _C, "banner, interstitial, native, rewarded", types=frozenset({"ad_revenue"})),
    Field(
        "revenue_precision",
        _E,
        "How exact the network calls the amount",
        types=frozenset({"ad_revenue"}),
        choices=("exact", "publisher_defined", "estimated", "undisclosed"),
    ),
    Field("ad_impressions", Kind.INTEGER, "Ad impressions the amount stands for", types=frozenset({"ad_revenue"})),
    Field(
        "uninstall_detector",
        _E,
        "How the uninstall was seen",
        types=frozenset({"uninstall"}),
        choices=("fcm", "apns", "inactivity"),
    ),
    # Consent
    Field("is_gdpr_subject", Kind.BOOLEAN, "GDPR applies", types=_CONSENT | _TOUCH | frozenset({"install"})),
    Field(
        "has_ad_user_data_consent",
        Kind.BOOLEAN,
        "User data may go to ad partners",
        types=_CONSENT | _TOUCH | frozenset({"install"}),
    ),
    Field(
        "has_ad_personalization_consent",
        Kind.BOOLEAN,
        "Personalised ads allowed",
        types=_CONSENT | _TOUCH | frozenset({"install"}),
    ),
    Field("tcf_string", _T, "IAB TCF consent string", types=_CONSENT, max_length=4_096),
    # Cost reports
    Field("cost_date", Kind.DATE, "Day the spend belongs to, in `time_zone`", types=_COST, required=_COST),
    Field("as_of", Kind.INSTANT, "When the partner stated this; the latest statement wins", types=_COST),
    Field("impressions", Kind.INTEGER, "Impressions the partner reports", types=_COST),
    Field("clicks", Kind.INTEGER, "Clicks the partner reports", types=_COST),
    Field("installs", Kind.INTEGER, "Installs the partner reports", types=_COST),
    # SKAdNetwork and AdAttributionKit
    Field("skan_version", _C, "SKAdNetwork version, or AdAttributionKit", types=_SKAN, required=_SKAN),
    Field("transaction_id", _I, "Apple's id of the postback", types=_SKAN, required=_SKAN),
    Field("ad_network_id", _I, "SKAdNetwork id of the network", types=_SKAN, required=_SKAN),
    Field("source_identifier", _I, "Source identifier, 2 to 4 digits", types=_SKAN),
    Field("source_app_id", _I, "App that showed the ad", types=_SKAN),
    Field("source_domain", _T, "Web domain that showed the ad", types=_SKAN),
    Field("is_redownload", Kind.BOOLEAN, "The user had the app before", types=_SKAN),
    Field("fidelity_type", Kind.INTEGER, "1 = rendered or web ad, 0 = view-through", types=_SKAN),
    Field("did_win", Kind.BOOLEAN, "This network won the attribution", types=_SKAN),
    Field("conversion_value", Kind.INTEGER, "Fine value, 0 to 63", types=_SKAN),
    Field("coarse_conversion_value", _E, "Coarse value", types=_SKAN, choices=("low", "medium", "high")),
    Field("postback_sequence_index", Kind.INTEGER, "0, 1 or 2", types=_SKAN),
    Field(
        "conversion_type",
        _E,
        "What the person did (AdAttributionKit)",
        types=_SKAN,
        choices=("download", "redownload", "re-engagement"),
    ),
    Field("attribution_signature", _T, "Apple's signature", types=_SKAN, max_length=1_024),
    Field(
        "signature_state",
        _E,
        "Outcome of checking the signature; only `valid` counts, null if it did not come by Apple's route",
        types=_SKAN,
        origin=Origin.ROUTE,
        choices=("valid", "invalid", "unverifiable"),
    ),
)

# At least one of these must be there, beside `Field.required`: a record nobody can be told by is of no use.
REQUIRED_ANY: Final[dict[str, tuple[str, ...]]] = {
    "event": ("install_id", "user_id"),
    "ad_revenue": ("install_id", "user_id"),
    "consent": ("install_id", "user_id", "idfa", "gaid", "idfv"),
}

# Never stored with the record: they go to bronze_network, which is dropped after a set number of days.
NETWORK_ONLY: Final = frozenset({"ip", "user_agent"})


@dataclass(frozen=True, slots=True)
class BronzeTable:
    """A bronze table that holds records: its name, the record types it takes, and what it is for."""

    name: str
    record_types: tuple[str, ...]
    doc: str

    @property
    def key(self) -> str:
        """Name inside the lake, `bronze/<name>`."""
        return f"bronze/{self.name}"

    @property
    def fields(self) -> tuple[Field, ...]:
        """Fields with a column here, in contract order."""
        types = frozenset(self.record_types)
        return tuple(f for f in FIELDS if f.types & types and f.name not in NETWORK_ONLY)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the table; all columns nullable, as new fields arrive by schema evolution."""
        return pa.schema([pa.field(f.column, f.arrow_type, metadata={"comment": f.doc}) for f in self.fields])


RECORD_TABLES: Final[tuple[BronzeTable, ...]] = (
    BronzeTable("bronze_touchpoints", ("click", "impression", "srn_claim"), "Clicks, impressions and partner claims"),
    BronzeTable(
        "bronze_app_events",
        ("install", "session", "event", "ad_revenue", "uninstall"),
        "Installs, sessions, in-app events, ad revenue and uninstalls",
    ),
    BronzeTable("bronze_costs", ("cost",), "Spend as partners report it, with restatements"),
    BronzeTable("bronze_skan_postbacks", ("skan_postback",), "SKAdNetwork postbacks"),
    BronzeTable("bronze_consents", ("consent",), "Consent given and withdrawn"),
)

REJECT_RAW_LIMIT: Final = 64 * 1024

TABLE_OF_TYPE: Final[dict[str, BronzeTable]] = {t: table for table in RECORD_TABLES for t in table.record_types}


def bronze_schemas() -> dict[str, pa.Schema]:
    """Arrow schema of every bronze table by its lake key (`bronze/<name>`)."""
    records = {t.key: t.schema for t in RECORD_TABLES}
    return records | {f"bronze/{name}": schema for name, schema in SERVICE_SCHEMAS.items()}


def sender_fields(record_type: str) -> tuple[Field, ...]:
    """Fields a sender may give on a record of this type, in contract order."""
    return tuple(f for f in FIELDS if record_type in f.types and f.origin is Origin.SENDER)


def columns_of(fields: Iterable[Field]) -> list[str]:
    """Bronze column names of the fields."""
    return [f.column for f in fields]
