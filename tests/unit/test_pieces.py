"""Large operators in pieces: the same result, and a beat between the pieces."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from backend.errors import Cancelled
from backend.nn import pieces, pulse
from backend.nn.pieces import in_pieces
from backend.nn.pulse import beat, pulsing

CPU = torch.device("cpu")


def drawn(*size, dtype=torch.float32):
    return torch.randn(*size, generator=torch.Generator().manual_seed(sum(size))).to(dtype)


def linear(dtype):
    return F.linear(drawn(3, 1000, 96, dtype=dtype), drawn(192, 96, dtype=dtype), drawn(192, dtype=dtype))


def linear_without_bias(dtype):
    return F.linear(drawn(1, 2100, 64, dtype=dtype), drawn(80, 64, dtype=dtype))


def attention_of_many_queries(dtype):
    rows = drawn(2, 2400, 3, 3, 32, dtype=dtype)  # queries, keys and values side by side, as one layer writes them
    return F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in rows.unbind(2)))


def attention_to_many_points(dtype):
    q, kv = drawn(1, 4, 40, 32, dtype=dtype), drawn(1, 4, 3000, 32, dtype=dtype)
    return F.scaled_dot_product_attention(q, kv, kv + 1)


def causal_attention(dtype):
    return F.scaled_dot_product_attention(*(drawn(1, 5, 700, 32, dtype=dtype) for _ in range(3)), is_causal=True)


def masked_attention(dtype):
    q, mask = drawn(2, 3, 1100, 16, dtype=dtype), torch.rand(2, 1, 1, 1100) > 0.5
    return F.scaled_dot_product_attention(q, q, q, attn_mask=mask)


def convolution(dtype):
    return nn.Conv3d(8, 72, 3, padding=1).to(dtype).requires_grad_(False)(drawn(2, 8, 9, 7, 8, dtype=dtype))


WORK = [
    linear,
    linear_without_bias,
    attention_of_many_queries,
    attention_to_many_points,
    causal_attention,
    masked_attention,
    convolution,
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("work", WORK)
def test_pieces_give_the_same_result(monkeypatch, work, dtype):
    torch.manual_seed(0)
    whole = work(dtype)
    monkeypatch.setattr(pieces, "PIECE", 1 << 18)
    asked = []
    monkeypatch.setattr(pieces, "beat", lambda: asked.append(1))
    torch.manual_seed(0)
    with in_pieces(CPU):
        before = len(asked)
        cut = work(dtype)
    assert torch.equal(cut, whole) and cut.stride() == whole.stride()
    assert len(asked) - before > (3 if work is masked_attention else 6)


def test_small_operators_are_left_whole(monkeypatch):
    monkeypatch.setattr(pieces, "_pieces", None)
    with in_pieces(CPU):
        assert torch.equal(linear(torch.float32), F.linear(*args_of_linear()))


def args_of_linear():
    return drawn(3, 1000, 96), drawn(192, 96), drawn(192)


def test_accelerators_are_left_alone():
    with in_pieces(torch.device("meta")):
        assert not torch.overrides._get_current_function_mode_stack()


def test_a_job_is_stopped_between_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 1 << 18)
    monkeypatch.setattr(pulse, "BEAT", 0.0)
    told = []

    def progress(*report, **more):
        told.append((report, more))
        if len(told) == 9:
            raise Cancelled

    x, weight = drawn(1, 20_000, 64), drawn(80, 64)
    with pytest.raises(Cancelled), pulsing(progress) as say, in_pieces(CPU):
        say("shape", 0.5, "Analysing the mesh", part="front")
        F.linear(x, weight)
    assert set(map(str, told)) == {str((("shape", 0.5, "Analysing the mesh"), {"part": "front"}))} and len(told) == 9


def test_a_beat_outside_a_job_or_before_its_first_report_says_nothing(monkeypatch):
    monkeypatch.setattr(pulse, "BEAT", 0.0)
    beat()
    told = []
    with pulsing(lambda *report: told.append(report)) as say:
        beat()
        assert told == []
        say("read", 0.0, "Reading")
        beat()
    beat()
    assert told == [("read", 0.0, "Reading")] * 2


def test_a_beat_repeats_a_report_only_when_it_is_old():
    told = []
    with pulsing(lambda *report: told.append(report)) as say:
        say("read", 0.0, "Reading")
        for _ in range(100):
            beat()
    assert len(told) == 1
