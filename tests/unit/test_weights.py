"""Problem places of a small skin: each planted fault is found and fixed, and a good skin has none."""

import numpy as np
import pytest

from avatar_addon.weights.analysis import find, fixes
from avatar_addon.weights.analysis.skin import WeightedSkin

CELL = 0.03
# VRM bone: (parent, head, tail, half width of the flesh around it); metres, glTF axes.
BONES = {
    "hips": (None, (0, 0.9, 0), (0, 1.05, 0), 0.12),
    "spine": ("hips", (0, 1.05, 0), (0, 1.4, 0), 0.12),
    "head": ("spine", (0, 1.45, 0), (0, 1.7, 0), 0.09),
}
for side, x in (("left", 1), ("right", -1)):
    BONES |= {
        f"{side}UpperArm": ("spine", (x * 0.18, 1.35, 0), (x * 0.42, 1.35, 0), 0.045),
        f"{side}LowerArm": (f"{side}UpperArm", (x * 0.42, 1.35, 0), (x * 0.66, 1.35, 0), 0.045),
        f"{side}Hand": (f"{side}LowerArm", (x * 0.66, 1.35, 0), (x * 0.78, 1.35, 0), 0.045),
        f"{side}UpperLeg": ("hips", (x * 0.1, 0.82, 0), (x * 0.1, 0.45, 0), 0.06),
        f"{side}LowerLeg": (f"{side}UpperLeg", (x * 0.1, 0.45, 0), (x * 0.1, 0.1, 0), 0.06),
        f"{side}Foot": (f"{side}LowerLeg", (x * 0.1, 0.1, 0), (x * 0.1, 0.03, 0), 0.06),
    }
NAMES = list(BONES)
NO_LOCKS = np.zeros(len(NAMES), bool)


def boxes(cells):
    """Vertices and triangles of the surface of a set of cells, welded."""
    solid, corners, triangles = {tuple(c) for c in cells}, {}, []
    for cell in solid:
        for axis in range(3):
            for step in (0, 1):
                beside = list(cell)
                beside[axis] += 2 * step - 1
                if tuple(beside) in solid:
                    continue
                quad = []
                for a, b in ((0, 0), (1, 0), (1, 1), (0, 1)):
                    corner = list(cell)
                    corner[axis] += step
                    corner[(axis + 1) % 3] += a
                    corner[(axis + 2) % 3] += b
                    quad.append(corners.setdefault(tuple(corner), len(corners)))
                a, b, c, d = quad if step else quad[::-1]
                triangles += [(a, b, c), (a, c, d)]
    return np.array(list(corners), float) * CELL, np.array(triangles)


def flesh(middle):
    return any(
        np.all(np.abs(middle - np.clip(middle, np.minimum(head, tail), np.maximum(head, tail))) < half)
        for _, head, tail, half in ((None, np.array(h), np.array(t), w) for _, h, t, w in BONES.values())
    )


@pytest.fixture(scope="module")
def body():
    grid = np.stack(np.meshgrid(np.arange(-30, 30), np.arange(0, 62), np.arange(-5, 5), indexing="ij"), -1).reshape(
        -1, 3
    )
    return boxes([cell for cell in grid if flesh((cell + 0.5) * CELL)])


def make_skin(body, weights):
    parents = [NAMES.index(parent) if parent else -1 for parent, *_ in BONES.values()]
    heads, tails = (np.array([bone[k] for bone in BONES.values()]) for k in (1, 2))
    return WeightedSkin(*body, weights, NAMES, parents, heads, tails, {name: name for name in NAMES})


@pytest.fixture(scope="module")
def good_weights(body):
    """Each vertex on the nearest bone, evened out over the joints."""
    skin = make_skin(body, np.ones((len(body[0]), len(NAMES))))
    near = np.stack(
        [
            find.to_segment(skin.rest, head, tail)[0] - 0.4 * bone[3]
            for head, tail, bone in zip(skin.joints, skin.tails, BONES.values(), strict=True)
        ]
    )
    hard = np.eye(len(NAMES))[near.argmin(0)]
    rows, weights = fixes.smooth(make_skin(body, hard), np.arange(len(hard)), NO_LOCKS, 2)
    hard[rows] = weights
    for side, x in (("left", 1), ("right", -1)):  # no leg holds skin of the other
        legs = [NAMES.index(side + bone) for bone in ("UpperLeg", "LowerLeg", "Foot")]
        other = skin.rest[:, 0] * x < 1e-6
        hard[other, NAMES.index("hips")] += hard[np.ix_(other, legs)].sum(1)
        hard[np.ix_(other, legs)] = 0
    rows, weights = fixes.settle(make_skin(body, hard), np.arange(len(hard)), hard, NO_LOCKS)
    hard[rows] = weights
    return hard


@pytest.fixture
def good(body, good_weights):
    return make_skin(body, good_weights.copy())


def spoilt(good, rows, **weights):
    """The skin with these vertices on other bones."""
    new = good.weights.copy()
    new[rows] = 0
    for bone, weight in weights.items():
        new[rows, NAMES.index(bone)] = weight
    return with_weights(good, new)


def with_weights(skin, weights):
    return make_skin((skin.rest, skin.triangles), weights)


def fixed(skin, change):
    rows, weights = change
    new = skin.weights.copy()
    new[rows] = weights
    assert np.all((new[rows] > 1e-4).sum(1) <= 4)
    np.testing.assert_allclose(new[rows].sum(1), 1, atol=1e-6)
    return with_weights(skin, new)


def kinds(skin):
    return [place.kind for place in find.find_places(skin)]


def fresh(good):
    """What a rigger would give: the good weights."""
    return {name: good.weights[:, k] for k, name in enumerate(NAMES)}


def hand(skin):
    return np.flatnonzero(skin.rest[:, 0] > 0.68)


def test_a_good_skin_has_no_places_and_no_button_changes_it(good):
    assert find.find_places(good) == []
    for change in (
        fixes.normalise(good, NO_LOCKS),
        fixes.close(good, NO_LOCKS),
        fixes.reweight(good, fresh(good), "leftArm", hand(good), NO_LOCKS),
    ):
        assert not len(change[0])


def test_a_hand_on_the_legs_bone_is_found_and_weighted_again(good):
    skin = spoilt(good, hand(good), leftUpperLeg=1.0)
    places = find.find_places(skin)
    assert (
        places[0].kind == "stray"
        and places[0].severity == "FAIL"
        and places[0].limb == "leftArm"
        and places[0].fix == find.REWEIGHT
    )
    assert set(places[0].vertices) == set(hand(good)) and places[0].centre[0] > 0.65
    assert len(places) == 1  # it stays behind and tears off the arm as well, which the stray explains
    after = fixed(skin, fixes.reweight(skin, fresh(good), "leftArm", places[0].vertices, NO_LOCKS))
    assert kinds(after) == []
    far = good.rest[:, 0] < 0
    np.testing.assert_array_equal(after.weights[far], good.weights[far])


def test_a_hand_that_shares_the_legs_bone_is_a_leak(good):
    skin = spoilt(good, hand(good), leftHand=0.7, rightUpperLeg=0.3)
    place = find.find_places(skin)[0]
    assert (
        (place.kind, place.limb) == ("leak", "leftArm")
        and "right leg" in place.sentence
        and "left arm" in place.sentence
    )
    assert kinds(fixed(skin, fixes.reweight(skin, fresh(good), place.limb, place.vertices, NO_LOCKS))) == []


def test_a_locked_bone_keeps_its_weights(good):
    skin, locked = (
        spoilt(good, hand(good), leftHand=0.7, rightUpperLeg=0.3),
        np.array([name == "rightUpperLeg" for name in NAMES]),
    )
    rows, weights = fixes.reweight(skin, fresh(good), "leftArm", hand(good), locked)
    np.testing.assert_array_equal(weights[:, locked], skin.weights[rows][:, locked])
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)


def test_an_arm_glued_to_the_trunk_stays_behind(good):
    arm = np.flatnonzero((good.rest[:, 0] > 0.3) & (good.rest[:, 0] < 0.72))
    skin = spoilt(good, arm, spine=1.0)
    place = next(place for place in find.find_places(skin) if place.kind == "follow")
    assert place.limb == "leftArm"
    assert kinds(fixed(skin, fixes.reweight(skin, fresh(good), "leftArm", place.vertices, NO_LOCKS))) == []


def test_a_patch_without_weights_is_filled_from_around(good):
    patch = np.flatnonzero((good.rest[:, 0] > 0.5) & (good.rest[:, 0] < 0.6) & (good.rest[:, 2] > 0))
    skin = spoilt(good, patch)
    places = find.find_places(skin)
    assert places[0].kind == "unweighted" and places[0].fix == find.FILL and list(places[0].vertices) == list(patch)
    after = fixed(skin, fixes.fill(skin, patch, NO_LOCKS))
    assert kinds(after) == [] and np.all(after.owner[patch] == NAMES.index("leftLowerArm"))


def test_a_loose_part_is_bound_to_the_bone_beside_it(good):
    points, triangles = boxes([(x, 48, 0) for x in (17, 18, 19)])
    count = len(good.rest)
    part = np.arange(count, count + len(points))
    body = np.concatenate([good.rest, points]), np.concatenate([good.triangles, triangles + count])
    skin = make_skin(body, np.concatenate([good.weights, np.zeros((len(points), len(NAMES)))]))
    [place] = find.find_places(skin)
    assert (place.kind, place.bone, place.fix, place.loose) == ("island", "leftLowerArm", find.BIND, True)
    after = fixed(skin, fixes.bind(skin, part[:2], NAMES.index("leftHand"), NO_LOCKS))
    assert kinds(after) == [] and np.all(after.owner[part] == NAMES.index("leftHand"))
    np.testing.assert_array_equal(after.weights[:count], good.weights)


def test_torn_skin_is_smoothed(good):
    thigh = np.flatnonzero((np.abs(good.rest[:, 1] - 0.6) < 0.04) & (good.rest[:, 0] > 0))
    skin = spoilt(good, thigh, hips=1.0)
    place = next(place for place in find.find_places(skin) if place.kind == "stretch")
    assert place.fix == find.SMOOTH and set(place.vertices) & set(thigh) and place.limb in ("leftLeg", "torso")
    assert "stretch" not in kinds(fixed(skin, fixes.smooth(skin, place.vertices, NO_LOCKS)))


def test_six_bones_and_unnormalised_weights(good):
    some = np.arange(0, len(good.rest), 3)
    weights = good.weights.copy()
    weights[some, :6] += 0.0002
    weights[1::3] *= 0.8
    skin = with_weights(good, weights)
    places = find.find_places(skin)
    assert [place.kind for place in places] == ["influences", "sum"] and all(
        place.fix == find.NORMALISE for place in places
    )
    assert kinds(fixed(skin, fixes.normalise(skin, NO_LOCKS))) == []


def test_a_crack_is_closed(good):
    """The left arm's skin is cut from the rest without a gap, and its border hangs on another bone."""
    cut = good.rest[good.triangles].mean(1)[:, 0] > 0.5
    border = np.intersect1d(good.triangles[cut], good.triangles[~cut])
    twin = np.arange(len(good.rest))
    twin[border] = len(good.rest) + np.arange(len(border))
    triangles = good.triangles.copy()
    triangles[cut] = twin[triangles[cut]]
    weights = np.concatenate([good.weights, good.weights[border]])
    skin = make_skin((np.concatenate([good.rest, good.rest[border]]), triangles), weights)
    assert kinds(skin) == []
    weights[border] = 0.6 * weights[border]
    weights[border, NAMES.index("leftUpperArm")] += 0.4
    skin = make_skin((skin.rest, triangles), weights)
    places = find.find_places(skin)
    assert [(place.kind, place.fix) for place in places] == [("crack", find.CLOSE)] and set(border) <= set(
        places[0].vertices
    )
    assert kinds(fixed(skin, fixes.close(skin, NO_LOCKS))) == []


def test_fingers_keep_their_share_of_the_hand(good):
    parents = [*good.parents, NAMES.index("leftHand")]
    names = [*NAMES, "leftIndexProximal"]
    tip = (good.rest[:, 0] > 0.75)[:, None]
    weights = np.where(tip, 0.0, np.pad(good.weights, ((0, 0), (0, 1))))
    weights[tip[:, 0], -1] = 1
    joints, tails = np.vstack([good.joints, [0.74, 1.35, 0]]), np.vstack([good.tails, [0.8, 1.35, 0]])
    skin = WeightedSkin(
        good.rest, good.triangles, weights, names, parents, joints, tails, {name: name for name in names}
    )
    rows, new = fixes.reweight(skin, fresh(good), "leftArm", hand(good), np.zeros(len(names), bool))
    after = weights.copy()
    after[rows] = new
    assert np.all(after[tip[:, 0], -1] > 0.9)


def test_without_humanoid_bones_only_what_is_wrong_in_itself_is_found(good):
    skin = spoilt(good, hand(good))
    skin.bones = {}
    assert [place.kind for place in find.find_places(skin)] == ["unweighted"]
