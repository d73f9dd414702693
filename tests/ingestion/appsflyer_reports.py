"""Small AppsFlyer raw reports in the vendor's published column layout; every value is made up."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

# The columns of every raw report of the user interface and the pull API, in the vendor's order.
_TITLES = (
    "Attributed Touch Type,Attributed Touch Time,Install Time,Event Time,Event Name,Event Value,Event Revenue,"
    "Event Revenue Currency,Event Revenue USD,Event Source,Is Receipt Validated,Partner,Media Source,Channel,Keywords,"
    "Campaign,Campaign ID,Adset,Adset ID,Ad,Ad ID,Ad Type,Site ID,Sub Site ID,Sub Param 1,Sub Param 2,Sub Param 3,"
    "Sub Param 4,Sub Param 5,Cost Model,Cost Value,Cost Currency,Contributor 1 Partner,Contributor 1 Media Source,"
    "Contributor 1 Campaign,Contributor 1 Touch Type,Contributor 1 Touch Time,Contributor 2 Partner,"
    "Contributor 2 Media Source,Contributor 2 Campaign,Contributor 2 Touch Type,Contributor 2 Touch Time,"
    "Contributor 3 Partner,Contributor 3 Media Source,Contributor 3 Campaign,Contributor 3 Touch Type,"
    "Contributor 3 Touch Time,Region,Country Code,State,City,Postal Code,DMA,IP,WIFI,Operator,Carrier,Language,"
    "AppsFlyer ID,Advertising ID,IDFA,Android ID,Customer User ID,IMEI,IDFV,Platform,Device Type,OS Version,"
    "App Version,SDK Version,App ID,App Name,Bundle ID,Is Retargeting,Retargeting Conversion Type,"
    "Attribution Lookback,Reengagement Window,Is Primary Attribution,User Agent,HTTP Referrer,Original URL"
)
# Columns that an export adds on request, Protect360's among them.
_MORE_TITLES = (
    "Store Reinstall,Impressions,Contributor 3 Match Type,Custom Dimension,Conversion Type,Google Play Click Time,"
    "Match Type,Mediation Network,OAID,Deeplink URL,Blocked Reason,Blocked Sub Reason,Google Play Broadcast Referrer,"
    "Google Play Install Begin Time,Campaign Type,Custom Data,Rejected Reason,Device Download Time,Keyword Match Type,"
    "Contributor 1 Match Type,Contributor 2 Match Type,Device Model,Monetization Network,Segment,Is LAT,"
    "Google Play Referrer,Blocked Reason Value,Store Product Page,Device Category,App Type,Rejected Reason Value,"
    "Ad Unit,Keyword ID,Placement,Network Account ID,Install App Store,Amazon Fire ID,ATT,Engagement Type,"
    "Contributor 1 Engagement Type,Contributor 2 Engagement Type,Contributor 3 Engagement Type,GDPR Applies,"
    "Ad User Data Enabled,Ad Personalization Enabled,Total Candidates,Engagement Destination,Blocked Reason Rule,"
    "Fraud Reason,Fraud Sub Reason,Detection Date"
)
TITLES = tuple(_TITLES.split(","))
MORE_TITLES = tuple(_MORE_TITLES.split(","))
# Names in Data Locker and the push API that are not the title in lower case.
_OTHER_NAMES = {
    "Partner": "af_prt",
    "Channel": "af_channel",
    "Keywords": "af_keywords",
    "Campaign ID": "af_c_id",
    "Adset": "af_adset",
    "Adset ID": "af_adset_id",
    "Ad": "af_ad",
    "Ad ID": "af_ad_id",
    "Ad Type": "af_ad_type",
    "Site ID": "af_siteid",
    "Sub Site ID": "af_sub_siteid",
    "Cost Model": "af_cost_model",
    "Cost Value": "af_cost_value",
    "Cost Currency": "af_cost_currency",
    "Attribution Lookback": "af_attribution_lookback",
    "Reengagement Window": "af_reengagement_window",
    "Google Play Click Time": "gp_click_time",
    "Google Play Referrer": "gp_referrer",
    "Google Play Install Begin Time": "gp_install_begin",
    "Google Play Broadcast Referrer": "gp_broadcast_referrer",
    "Amazon Fire ID": "amazon_aid",
}
_OTHER_NAMES |= {f"Sub Param {n}": f"af_sub{n}" for n in range(1, 6)}
_OTHER_NAMES |= {f"Contributor {n} Partner": f"contributor_{n}_af_prt" for n in range(1, 4)}
VENDOR_APP = "id1234567890"

INSTALL = {
    "Attributed Touch Type": "click",
    "Attributed Touch Time": "2026-02-27 08:00:00",
    "Install Time": "2026-02-28 10:00:00",
    "Event Time": "2026-02-28 10:00:00",
    "Event Name": "install",
    "Event Source": "SDK",
    "Media Source": "ExampleNet_int",
    "Channel": "Video",
    "Campaign": "Winter, wide",
    "Campaign ID": "c-77",
    "Adset ID": "s-5",
    "Contributor 1 Media Source": "othernet_int",
    "Contributor 1 Touch Type": "impression",
    "Contributor 1 Touch Time": "2026-02-26 08:00:00",
    "Country Code": "UK",
    "IP": "203.0.113.9",
    "AppsFlyer ID": "1772272800000-1234567",
    "Advertising ID": "00000000-0000-0000-0000-000000000000",
    "IDFA": "AAAAAAAA-1111-4222-8333-444444444444",
    "Customer User ID": "u-1",
    "Platform": "ios",
    "OS Version": "18.2",
    "App Version": "2.4.0",
    "App ID": VENDOR_APP,
    "Is Retargeting": "false",
    "Is Primary Attribution": "true",
}
ORGANIC = {
    name: value
    for name, value in INSTALL.items()
    if not name.startswith(("Attributed", "Contributor", "Campaign", "Adset", "Channel"))
} | {"Media Source": "organic", "AppsFlyer ID": "1772272800000-7654321", "IDFA": "", "Customer User ID": ""}
EVENT = INSTALL | {
    "Event Time": "2026-03-01 09:30:00",
    "Event Name": "af_purchase",
    "Event Value": '{"af_content_id":"gems-100","af_quantity":1}',
    "Event Revenue": "4.99",
    "Event Revenue Currency": "EUR",
    "Event Revenue USD": "5.41",
}
AD_REVENUE = INSTALL | {
    "Event Time": "2026-03-01 11:00:00",
    "Event Name": "af_ad_revenue",
    "Event Revenue": "0.0125",
    "Event Revenue Currency": "USD",
    "Event Revenue USD": "0.0125",
    "Mediation Network": "applovinmax",
    "Monetization Network": "unity",
    "Ad Unit": "rewarded-1",
    "Placement": "home",
    "Impressions": "3",
}
TOUCH = {
    "Attributed Touch Type": "click",
    "Attributed Touch Time": "2026-02-27 07:00:00",
    "Media Source": "examplenet_int",
    "Campaign": "Winter, wide",
    "Campaign ID": "c-77",
    "Site ID": "pub-1",
    "Advertising ID": "38400000-8cf0-11bd-b23e-10b96e40000d",
    "IP": "203.0.113.10",
    "Platform": "android",
    "App ID": VENDOR_APP,
    "Original URL": "https://example.test/click?af_sub1=x",
}


def locker_name(title: str) -> str:
    """The name of a column in Data Locker."""
    return _OTHER_NAMES.get(title, title.lower().replace(" ", "_"))


def report(
    rows: Iterable[Mapping[str, str]],
    *,
    titles: Sequence[str] = TITLES,
    locker: bool = False,
    more: bool = False,
) -> str:
    """A report as text; `locker` takes the names of Data Locker, `more` adds the columns given on request."""
    shown = [*titles, *(MORE_TITLES if more else ())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([locker_name(title) for title in shown] if locker else shown)
    for row in rows:
        assert row.keys() <= set(shown), f"no column {sorted(row.keys() - set(shown))}"
        writer.writerow([row.get(title, "") for title in shown])
    return text.getvalue()
