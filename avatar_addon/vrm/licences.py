# SPDX-License-Identifier: GPL-3.0-or-later
"""What usual licences are in the fields of VRM's meta, for 1.0 and 0.x alike.

Sources: VRMC_vrm-1.0 meta and the VRM Public License 1.0 (vrm.dev/licenses/1.0); VRM 0.0 meta; the legal codes of
Creative Commons. A Creative Commons licence knows no limits on what a model is shown doing, so those fields are
allowed with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from .addon import extension

CC = "https://creativecommons.org/"
ALLOWED_ACTS = (
    "allow_excessively_violent_usage",
    "allow_excessively_sexual_usage",
    "allow_political_or_religious_usage",
    "allow_antisocial_or_hate_usage",
)


@dataclass(frozen=True)
class Licence:
    """acts: whether violent, sexual, political and antisocial use are allowed; in_vrm0: name of the licence in
    VRM 0.x.
    """

    title: str
    description: str
    users: str
    commercial: str
    credit: bool
    redistribution: bool
    modification: str
    acts: bool = False
    url: str = ""
    in_vrm0: str = "Redistribution_Prohibited"


LICENCES = {
    "personal": Licence(
        "Personal Use",
        "Only you may use this avatar, for non-commercial purposes. It may not be redistributed",
        "onlyAuthor", "personalNonProfit", True, False, "prohibited",
    ),
    "by_permission": Licence(
        "By Permission",
        "People with your permission may use this avatar, also for personal profit. It may not be redistributed",
        "onlySeparatelyLicensedPerson", "personalProfit", True, False, "prohibited",
    ),
    "everyone": Licence(
        "Everyone, Unchanged",
        "Everyone, including companies, may use this avatar with credit. It may not be changed or redistributed",
        "everyone", "corporation", True, False, "prohibited",
    ),
    "cc_by": Licence(
        "CC BY 4.0",
        "Everyone may use, change and redistribute it with credit",
        "everyone", "corporation", True, True, "allowModificationRedistribution", True, f"{CC}licenses/by/4.0/",
        "CC_BY",
    ),
    "cc_by_nc": Licence(
        "CC BY-NC 4.0",
        "Everyone may use, change and redistribute it with credit, for non-commercial purposes",
        "everyone", "personalNonProfit", True, True, "allowModificationRedistribution", True,
        f"{CC}licenses/by-nc/4.0/", "CC_BY_NC",
    ),
    "cc_by_nd": Licence(
        "CC BY-ND 4.0",
        "Everyone may use it and redistribute it unchanged, with credit",
        "everyone", "corporation", True, True, "prohibited", True, f"{CC}licenses/by-nd/4.0/", "CC_BY_ND",
    ),
    "cc0": Licence(
        "CC0 1.0, All Allowed",
        "Everyone may do everything with it, without credit",
        "everyone", "corporation", False, True, "allowModificationRedistribution", True,
        f"{CC}publicdomain/zero/1.0/", "CC0",
    ),
}  # fmt: skip
USERS_IN_VRM0 = {
    "onlyAuthor": "OnlyAuthor",
    "onlySeparatelyLicensedPerson": "ExplicitlyLicensedPerson",
    "everyone": "Everyone",
}


def apply(armature: bpy.types.Object, name: str) -> None:
    """Writes a licence into the meta; who made the avatar and how it is called stays."""
    licence = LICENCES[name]
    meta, old = extension(armature).vrm1.meta, extension(armature).vrm0.meta
    meta.avatar_permission = licence.users
    meta.commercial_usage = licence.commercial
    meta.credit_notation = "required" if licence.credit else "unnecessary"
    meta.allow_redistribution = licence.redistribution
    meta.modification = licence.modification
    meta.other_license_url = licence.url
    for act in ALLOWED_ACTS:
        setattr(meta, act, licence.acts)
    old.allowed_user_name = USERS_IN_VRM0[licence.users]
    old.violent_ussage_name = old.sexual_ussage_name = "Allow" if licence.acts else "Disallow"
    old.commercial_ussage_name = "Disallow" if licence.commercial == "personalNonProfit" else "Allow"
    old.license_name = licence.in_vrm0
    old.other_license_url = ""


def current(armature: bpy.types.Object) -> str:
    """The name of the licence that the meta is, or ""."""
    meta = extension(armature).vrm1.meta
    for name, licence in LICENCES.items():
        if (
            meta.avatar_permission == licence.users
            and meta.commercial_usage == licence.commercial
            and (meta.credit_notation == "required") == licence.credit
            and meta.allow_redistribution == licence.redistribution
            and meta.modification == licence.modification
            and meta.other_license_url == licence.url
            and all(getattr(meta, act) == licence.acts for act in ALLOWED_ACTS)
        ):
            return name
    return ""
