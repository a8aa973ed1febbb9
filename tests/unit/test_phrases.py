# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences with values in them are translated as well, in the other language's order."""

import pytest

from avatar_addon.ui.phrases import Phrases

TABLE = {
    "Wrote {}": "{}を書き出しました",
    "The {} of {} is missing.": "{1}の{0}がありません。",
    "The {} of {} is missing from {}.": "{2}に{1}の{0}がありません。",
    "mouth": "口",
    "Choose another.": "別のものを選んでください。",
    "{}: {}": "{}：{}",
    "Not done": "",
    "Moves the other eye.": "反対の目が動きます。",
    "left arm": "左腕",
    "head": "頭",
    "missing: {}": "不足: {}",
    "{} and {}": "{}と{}",
    "{} by {}": "{1}の{0}",
}


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("Wrote hero.vrm", "hero.vrmを書き出しました"),
        ("The mouth of Ann is missing.", "Annの口がありません。"),
        ("The mouth of Ann is missing from it.", "itにAnnの口がありません。"),
        ("The mouth of Ann is missing. Choose another.", "Annの口がありません。別のものを選んでください。"),
        ("The mouth of Ann is missing from it. Choose another.", "itにAnnの口がありません。別のものを選んでください。"),
        ("Nobody knows. Choose another.", "Nobody knows.別のものを選んでください。"),
        ("hips: bone", "hips: bone"),  # two words with a colon are too little to go by
        ("Not done", "Not done"),
    ],
)
def test_translation(text, translated):
    assert Phrases(TABLE).translate(text) == translated


@pytest.mark.parametrize(
    ("figure", "translated"),
    [
        ("moves the other eye", "反対の目が動きます"),
        ("blinkLeft: moves the other eye; 3 %", "blinkLeft: 反対の目が動きます; 3 %"),
        ("12.0 mm (left arm and head)", "12.0 mm (左腕と頭)"),
        ("missing: mouth", "不足: 口"),
        ("Mia by Jo", "JoのMia"),
        ("0.66 m", "0.66 m"),
        ("", ""),
    ],
)
def test_figure_of_a_check(figure, translated):
    assert Phrases(TABLE).figure(figure) == translated
