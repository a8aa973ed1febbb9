# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the joints, the face and the body's parts of one character in a picture of any style, with small networks.

    from backend.reader import read
    reading = read(rgba)                       # (H, W, 3) or (H, W, 4) uint8, upright
    reading.joints["leftHand"]                 # Joint(x, y, depth, confidence), pixels of the picture
    reading.face["mouth"]                      # FacePart(x, y, half_width, half_height, state, confidence)
    reading.parts, reading.mask                # (H, W): index into PARTS; share of the figure 0..1
    reading.front, reading.back                # (H, W): depth in pixels, NaN outside the figure
    reading.yaw, reading.humanoids             # degrees; {"none": p, "one": p, "several": p}

Pixels run right and down; depth grows towards the viewer and is zero at the hips. Left and right are the character's:
in a picture from the front the character's left is on the picture's right. Joints are JOINTS (VRM names, where the bone
starts; hips between the hip joints, neck at its base), and headTop (skull and hair, no hat or ears) and chin. Hidden
ones are estimated. A confidence is the probability that the point lies within 5 % of the figure's height (face: of the
head's height) of where a person would put it, as calibrated on held-out renders. state: drawn, none (the face has no
such part), hidden.

The same picture gives the same reading; about 0.6 s of one core. Nothing is refused here: whoever asks judges
`humanoids`, `yaw` and the confidences. Weights, data and limits: MODEL_CARD.md. Made by `training/`.
"""

from .layout import FACE, JOINTS, PARTS
from .reader import read
from .reading import FacePart, Joint, Reading

__all__ = ["FACE", "JOINTS", "PARTS", "FacePart", "Joint", "Reading", "read"]
