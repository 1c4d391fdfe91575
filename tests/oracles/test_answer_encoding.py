import numpy as np
import pytest
import torch

from oracles import Answers, RecordDamaged, StorageError
from oracles.answer_encoding import (
    decode_answers,
    decode_labels,
    decode_names,
    encode_answers,
    encode_labels,
    encode_names,
)


@pytest.mark.parametrize("width", [None, 1, 5])
@pytest.mark.parametrize("images", [1, 3])
def test_answers_come_back_as_they_were_to_the_last_bit(images: int, width: int | None) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = None if width is None else torch.randn(images, width, generator=generator)
    if scores is not None:
        scores[0, 0] = float("nan")
    answers = Answers(torch.randint(0, 2**31, (images,), generator=generator), scores)
    decoded = decode_answers(encode_answers(answers), images=images)
    assert torch.equal(decoded.labels, answers.labels)
    assert decoded.labels.dtype == torch.int64
    if scores is None:
        assert decoded.scores is None
    else:
        assert decoded.scores is not None
        assert torch.equal(decoded.scores.view(torch.int32), scores.view(torch.int32))


def test_records_read_the_same_on_every_machine() -> None:
    assert encode_labels(torch.tensor([1, 258, -1])).hex() == "0100000002010000ffffffff"
    raw = encode_answers(Answers(torch.tensor([3]), torch.tensor([[0.5, -2.0]])))
    assert raw.hex() == "02000000" + "03000000" + "0000003f" + "000000c0"


def test_scores_that_are_a_view_are_written_in_their_order() -> None:
    scores = torch.arange(6.0).reshape(3, 2).T
    decoded = decode_answers(encode_answers(Answers(torch.zeros(2, dtype=torch.int64), scores)), images=2)
    assert decoded.scores is not None
    assert torch.equal(decoded.scores, scores)


def test_decoded_labels_can_be_written_to() -> None:
    labels = decode_labels(encode_labels(torch.tensor([1, 2])))
    labels[0] = 7
    assert labels.dtype == np.int32
    assert labels.tolist() == [7, 2]


@pytest.mark.parametrize(
    "raw", [b"", b"abc", b"\xff\xff\xff\xff" + b"0000", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00" * 2]
)
def test_bytes_that_are_no_answers_are_refused(raw: bytes) -> None:
    with pytest.raises(StorageError, match="does not hold answers for 1 images"):
        decode_answers(raw, images=1)


def test_answers_for_another_number_of_images_are_refused() -> None:
    raw = encode_answers(Answers(torch.tensor([1, 2])))
    with pytest.raises(StorageError):
        decode_answers(raw, images=1)
    with pytest.raises(StorageError):
        decode_answers(raw, images=3)


def test_names_come_back_and_no_bit_of_them_can_be_turned_unseen() -> None:
    names = ["cat", "Löwe", 'a "dog"', ""]
    raw = encode_names(b"classes", names)
    assert decode_names(b"classes", raw) == names
    for place in range(8 * len(raw)):
        turned = bytearray(raw)
        turned[place // 8] ^= 1 << place % 8
        with pytest.raises(RecordDamaged, match="restore them from a copy"):
            decode_names(b"classes", bytes(turned))


def test_names_written_before_they_had_a_checksum_are_read() -> None:
    assert decode_names(b"classes", b'["cat", "dog"]') == ["cat", "dog"]


@pytest.mark.parametrize("raw", [b"", b"[", b"{}", b"[1]", b"\xff\xfe", b"null"])
def test_bytes_that_are_no_names_are_refused(raw: bytes) -> None:
    with pytest.raises(RecordDamaged):
        decode_names(b"classes", raw)
